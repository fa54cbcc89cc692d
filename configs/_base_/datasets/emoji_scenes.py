"""EmojiScenes, easy level: strict, weak and parallel sources, and retrieval for validation and test."""

from rc3mm.datasets import (
    EmojiParallel,
    EmojiRetrieval,
    EmojiStrict,
    EmojiWeak,
    EvalSampler,
    MaskTokens,
    MixedSources,
    MixedSourceSampler,
    PackVLInputs,
    ScoreRelevance,
    Tokenize,
    vl_collate,
)
from rc3mm.relevance import SentenceIDRelevance

tokenizer = 'emoji'
world = dict(num_concepts=100, level='easy', image_size=48)
num_strict = 20_000

tokenize = dict(type=Tokenize, tokenizer=tokenizer, max_length=60)
pack = dict(type=PackVLInputs)

strict = dict(
    type=EmojiStrict,
    num_scenes=num_strict,
    seed=1,
    pipeline=[tokenize, dict(type=MaskTokens, tokenizer=tokenizer, kinds=('pair',)), pack],
    **world,
)
# The scorer reads the captions of the strict source (EmojiParallel of the same seed is those captions) and, for the
# words that captions lack, 20,000 texts of the weak source, without their true relevance.
scorer = dict(
    type=SentenceIDRelevance,
    corpus=dict(type=EmojiParallel, num_scenes=num_strict, seed=1, **world),
    weak_corpus=dict(type=EmojiWeak, num_scenes=20_000, seed=2, **world),
    num_sentences=20_000,  # of each
)
weak = dict(
    type=EmojiWeak,
    num_scenes=1_000_000,
    seed=2,
    pipeline=[
        tokenize,
        dict(type=MaskTokens, tokenizer=tokenizer, kinds=('single',)),
        dict(type=ScoreRelevance, scorer=scorer),
        pack,
    ],
    **world,
)
parallel = dict(
    type=EmojiParallel,
    num_scenes=1_000_000,
    seed=3,
    pipeline=[tokenize, dict(type=MaskTokens, tokenizer=tokenizer, kinds=('pair',)), pack],
    **world,
)

train_dataloader = dict(
    dataset=dict(type=MixedSources, sources=dict(strict=strict, weak=weak, parallel=parallel)),
    sampler=dict(
        type=MixedSourceSampler,
        batch_size=dict(strict=48, weak=64, parallel=64),
        ratios=dict(strict=0.35, weak=0.6, parallel=0.05),
        seed=0,
        length_pool=8,
    ),
    batch_size=None,  # the sampler decides on whole batches
    num_workers=0,  # on two cores a worker takes more from the training than it saves
    persistent_workers=False,
    collate_fn=dict(type=vl_collate, pad_id=1),
)

eval_loader = dict(
    sampler=dict(type=EvalSampler),
    batch_size=64,
    num_workers=0,
    collate_fn=dict(type=vl_collate, pad_id=1),
)
val_dataloader = dict(
    dataset=dict(type=EmojiRetrieval, num_scenes=200, split='val', pipeline=[tokenize, pack], **world),
    **eval_loader,
)
test_dataloader = dict(
    dataset=dict(type=EmojiRetrieval, num_scenes=500, split='test', pipeline=[tokenize, pack], **world),
    **eval_loader,
)
