"""Synthetic batches of 8 at the base model's shapes: 224 pixels, 36 regions, captions as long as Multi30K's."""

from rc3mm.datasets import MaskTokens, MixedSources, MixedSourceSampler, PackVLInputs, vl_collate
from rc3mm.datasets.synthetic_pairs import SyntheticPairs

tokenizer = 'emoji'  # for its special tokens alone; the words are random numbers
pack = dict(type=PackVLInputs)
mask_pair = dict(type=MaskTokens, tokenizer=tokenizer, kinds=('pair',), probability=0.4, max_masked=12)
mask_single = dict(type=MaskTokens, tokenizer=tokenizer, kinds=('single',), probability=0.4, max_masked=12)
mask_parallel = dict(type=MaskTokens, tokenizer=tokenizer, kinds=('pair',), probability=0.15, max_masked=12)
visual = dict(image_size=224, regions=36, feature_dim=2048, num_classes=1601)
batch_size = 8
train_dataloader = dict(
    dataset=dict(
        type=MixedSources,
        sources=dict(
            strict=dict(type=SyntheticPairs, source='strict', seed=1, pipeline=[mask_pair, pack], **visual),
            weak=dict(type=SyntheticPairs, source='weak', seed=2, pipeline=[mask_single, pack], **visual),
            parallel=dict(type=SyntheticPairs, source='parallel', image_size=0, seed=3, pipeline=[mask_parallel, pack]),
        ),
    ),
    sampler=dict(
        type=MixedSourceSampler,
        batch_size=batch_size,
        ratios=dict(strict=0.5, weak=0.4, parallel=0.1),
        length_pool=64,
        seed=0,
    ),
    batch_size=None,
    num_workers=0,
    collate_fn=dict(type=vl_collate, pad_id=1),
)
