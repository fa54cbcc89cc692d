"""RC3 in base size: XLM-R base, ViT-B/16 at 224 pixels, 36 regions of 2048 dimensions, six fusion layers.

425.9 M parameters, 192.0 M of them word embeddings.
"""

from mmengine.config import read_base

with read_base():
    from .backbone_base import *

from rc3mm.models import ITC, ITM, MLM, MRM, RC3, TLM, VTLM, BandRegularizer, RXVtCL, XVtCL

model = dict(
    type=RC3,
    **backbone,
    embed_dim=256,
    form_probs=dict(roi=0.2, patch=0.3, both=0.25, split=0.25),
    objectives=dict(
        itc=dict(type=ITC, sources=('strict', 'weak')),
        itm=dict(type=ITM, width=width, sources=('strict', 'weak')),
        xvtcl=dict(type=XVtCL, sources=('strict',)),
        rxvtcl=dict(
            type=RXVtCL,
            sources=('weak',),
            strict_sources=('strict',),
            regularizer=dict(type=BandRegularizer, band_weight=5.0, delta=0.05),
        ),
        vtlm=dict(type=VTLM, sources=('strict',)),
        mlm=dict(type=MLM, sources=('weak',)),
        mrm=dict(type=MRM, width=width, feature_dim=2048, num_classes=1601, sources=('strict', 'weak')),
        tlm=dict(type=TLM, sources=('parallel',)),
    ),
)
