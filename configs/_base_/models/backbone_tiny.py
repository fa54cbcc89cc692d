"""The encoders and the fusion head of the tiny model (about 2 M parameters), for pre-training and for tasks."""

from rc3mm.models import FusionEncoder, PatchEncoder, RoiEncoder, TextEncoder, VLDataPreprocessor

width = 128

backbone = dict(
    data_preprocessor=dict(type=VLDataPreprocessor),
    text_encoder=dict(
        type=TextEncoder,
        position_shift=8,  # so that no distance from the beginning is learnt, which languages do not share
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
    fusion=dict(type=FusionEncoder, width=width, depth=2, heads=4, mlp_ratio=2),
    test_form='patch',
)
