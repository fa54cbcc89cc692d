"""RC3 small enough to learn EmojiScenes from scratch in minutes on two cores (about 2 M parameters).

The frozen detector of EmojiScenes (1.4 M parameters, shipped) finds the regions while the model runs.
"""

from mmengine.config import read_base

with read_base():
    from ...detectors.faster_rcnn_emoji import roi_extractor

from rc3mm.models import (
    ITC,
    ITM,
    MLM,
    MRM,
    RC3,
    TLM,
    VTLM,
    BandRegularizer,
    FusionEncoder,
    PatchEncoder,
    RoiEncoder,
    RXVtCL,
    TextEncoder,
    VLDataPreprocessor,
    XVtCL,
)

width = 128

model = dict(
    type=RC3,
    data_preprocessor=dict(type=VLDataPreprocessor),
    text_encoder=dict(
        type=TextEncoder,
        config=dict(
            model_type='xlm-roberta',
            vocab_size=6000,  # the tokenizer that ships with EmojiScenes
            hidden_size=width,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=2 * width,
            max_position_embeddings=130,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        ),
    ),
    patch_encoder=dict(
        type=PatchEncoder,
        model_name='vit_tiny_patch16_224',
        img_size=48,
        patch_size=8,
        embed_dim=width,
        depth=3,
        num_heads=4,
        mlp_ratio=2,
    ),
    roi_encoder=dict(type=RoiEncoder, feature_dim=256),
    roi_extractor=roi_extractor,
    fusion=dict(type=FusionEncoder, width=width, depth=2, heads=4, mlp_ratio=2),
    embed_dim=width,
    form_probs=dict(roi=0.03, patch=0.77, both=0.07, split=0.13),
    test_form='patch',
    objectives=dict(
        itc=dict(type=ITC, sources=('strict', 'weak'), loss_weight=3.0),
        itm=dict(type=ITM, width=width, sources=('strict',)),
        xvtcl=dict(type=XVtCL, sources=('strict',)),
        rxvtcl=dict(
            type=RXVtCL,
            sources=('weak',),
            strict_sources=('strict',),
            regularizer=dict(type=BandRegularizer, band_weight=5.0, delta=0.05),
        ),
        vtlm=dict(type=VTLM, sources=('strict',), loss_weight=0.2, probability=0.15),
        mlm=dict(type=MLM, sources=('weak',), loss_weight=0.2, probability=0.15),
        mrm=dict(type=MRM, width=width, feature_dim=256, num_classes=101, loss_weight=0.2, probability=0.3),
        tlm=dict(type=TLM, sources=('parallel',), loss_weight=0.2),
    ),
)
