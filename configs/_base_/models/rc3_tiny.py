"""RC3 small enough to learn EmojiScenes from scratch in minutes on two cores (about 2 M parameters).

The frozen detector of EmojiScenes (1.4 M parameters, shipped) finds the regions while the model runs.
"""

from mmengine.config import read_base

with read_base():
    from ...detectors.faster_rcnn_emoji import roi_extractor
    from .backbone_tiny import *

from rc3mm.models import ITC, ITM, MLM, MRM, RC3, TLM, VTLM, XLCO, BandRegularizer, RXVtCL, XVtCL

model = dict(
    type=RC3,
    roi_extractor=roi_extractor,
    **backbone,
    embed_dim=width,
    form_probs=dict(roi=0.15, patch=0.55, both=0.1, split=0.2),
    uniform_negatives=['weak'],  # the text most like a weakly described image is often true of it
    objectives=dict(
        itc=dict(type=ITC, sources=('strict', 'weak'), loss_weight=3.0),
        itm=dict(type=ITM, width=width, sources=('strict', 'weak'), loss_weight=3.0),
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
        xlco=dict(type=XLCO, sources=('parallel',), loss_weight=3.0),
    ),
)
