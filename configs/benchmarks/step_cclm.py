"""The shapes and objectives of CCLM's pre-training step (Zeng et al. 2022, arXiv 2206.00621), by this framework.

ViT-B/16 at 224 pixels, six text and six fusion layers of width 768, 250,002 words, captions of 8 to 40 tokens, batch 8.
Image-text contrast of both captions, matching of the first one with one hard negative image and text, masked words (40
%, 12 at most), contrast between the captions.

Command:  python tools/benchmarks/train_step.py configs/benchmarks/step_cclm.py
Time:     two minutes on 2 CPU cores
Result:   docs/performance.md
"""

from mmengine.config import read_base

with read_base():
    from .step_base import *

from rc3mm.models import ITC, ITM, MLM, XLCO

model['text_encoder']['config'].update(num_hidden_layers=6)
model['text_encoder'].update(length_groups=1)  # of 24 texts in a batch, smaller groups cost more than their padding
model.update(roi_encoder=None, test_form='patch')
model['form_probs'] = dict(patch=1.0)
model['objectives'] = dict(
    mlm=dict(type=MLM, sources=('strict',)),  # first, so that its gradients come when others' activations are gone
    itc=dict(type=ITC, sources=('strict',)),
    itm=dict(type=ITM, width=width, texts=1, sources=('strict',)),
    xlco=dict(type=XLCO, sources=('strict',)),
)
pairs = train_dataloader['dataset']['sources']['strict']
pairs.update(regions=0, num_classes=0, caption_lengths=tuple(range(8, 41)), pipeline=[mask_single, pack])
train_dataloader['dataset']['sources'] = dict(strict=pairs)
train_dataloader['sampler']['ratios'] = dict(strict=1.0)
