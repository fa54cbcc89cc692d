"""CC3M in six languages (strict), WIT (weak) and WikiMatrix (parallel); retrieval on held-out CC3M.

Each process takes 128 images or sentence pairs a batch. configs/rc3/pretrain_base.py shows the files' layout.
"""

from mmengine.config import read_base

with read_base():
    from ..paths import *

from rc3mm.datasets import (
    DecodeImage,
    EvalSampler,
    JsonLinesPairs,
    LoadRegions,
    MaskTokens,
    MixedSources,
    MixedSourceSampler,
    PackVLInputs,
    ResizeImage,
    RoiStore,
    Tokenize,
    WikiMatrix,
    vl_collate,
)

languages = ['cs', 'de', 'en', 'fr', 'ja', 'zh']
tokenizer = text_weights
image_size = 224

cc3m_train = f'{data_root}/cc3m/train.jsonl'
cc3m_heldout = f'{data_root}/cc3m/heldout.jsonl'
cc3m_regions = f'{data_root}/cc3m/regions'
heldout_regions = f'{data_root}/cc3m/heldout_regions'
wit_train = f'{data_root}/wit/train.jsonl'
wit_regions = f'{data_root}/wit/regions'
wikimatrix = [f'{data_root}/wikimatrix/WikiMatrix.{a}-{b}.tsv' for a in languages for b in languages if a < b]

# 1,600 classes of Visual Genome and the background, for MRM.
load = dict(type=LoadRegions, feature_dim=2048, num_regions=36, class_probs=True, num_classes=1601)
# Boxes are scaled to the image where they are loaded, and along with it where it is resized.
cc3m_visual = [
    dict(type=DecodeImage),
    dict(**load, source=dict(type=RoiStore, path=cc3m_regions, feature_dim=2048)),
    dict(type=ResizeImage, size=image_size),
]
heldout_visual = [
    dict(type=DecodeImage),
    dict(**load, source=dict(type=RoiStore, path=heldout_regions, feature_dim=2048)),
    dict(type=ResizeImage, size=image_size),
]
wit_visual = [
    dict(type=DecodeImage),
    dict(**load, source=dict(type=RoiStore, path=wit_regions, feature_dim=2048)),
    dict(type=ResizeImage, size=image_size),
]
tokenize = dict(type=Tokenize, tokenizer=tokenizer, max_length=64)
pack = dict(type=PackVLInputs)
# Texts with an image: 40 %, at most 12 tokens, as CCLM. Alt texts are short (15 % of one would be a word or
# two), image and translation help to fill the gaps, and the bound limits the logits (batch x 12 x 250,002).
# Parallel sentences are longer and have nothing but each other: 15 %, as XLM and UC2.
mask_pair = dict(type=MaskTokens, tokenizer=tokenizer, kinds=('pair',), probability=0.4, max_masked=12)
mask_single = dict(type=MaskTokens, tokenizer=tokenizer, kinds=('single',), probability=0.4, max_masked=12)
mask_parallel = dict(type=MaskTokens, tokenizer=tokenizer, kinds=('pair',), probability=0.15, max_masked=12)

strict = dict(
    type=JsonLinesPairs,
    path=cc3m_train,
    source='strict',
    languages=languages,
    image_root=f'{data_root}/cc3m',
    seed=1,
    pipeline=[*cc3m_visual, tokenize, mask_pair, pack],
)
# The lines carry the relevance of their texts, scored once beforehand. In a small corpus it can be scored on
# the fly instead: leave `need_relevance` out and put before `pack`
#     dict(type=ScoreRelevance, scorer=dict(type=SentenceIDRelevance, num_sentences=200_000,
#          corpus=dict(type=JsonLinesPairs, path=cc3m_train, source='strict', languages=languages)))
weak = dict(
    type=JsonLinesPairs,
    path=wit_train,
    source='weak',
    languages=languages,
    image_root=f'{data_root}/wit',
    need_relevance=True,
    max_bad_share=0.05,  # images fetched from the web
    seed=2,
    pipeline=[*wit_visual, tokenize, mask_single, pack],
)
parallel = dict(type=WikiMatrix, files=wikimatrix, threshold=1.04, seed=3, pipeline=[tokenize, mask_parallel, pack])

train_dataloader = dict(
    dataset=dict(type=MixedSources, sources=dict(strict=strict, weak=weak, parallel=parallel)),
    sampler=dict(
        type=MixedSourceSampler,
        batch_size=dict(strict=128, weak=128, parallel=128),
        ratios=dict(strict=0.5, weak=0.4, parallel=0.1),
        seed=0,
    ),
    batch_size=None,  # the sampler decides on whole batches
    num_workers=12,
    persistent_workers=True,
    prefetch_factor=4,
    pin_memory=True,
    collate_fn=dict(type=vl_collate, pad_id=1),
)

heldout = dict(
    type=JsonLinesPairs,
    path=cc3m_heldout,
    source='retrieval',
    languages=languages,
    image_root=f'{data_root}/cc3m',
    all_texts=True,
    pipeline=[*heldout_visual, tokenize, pack],
)
eval_loader = dict(
    sampler=dict(type=EvalSampler),
    batch_size=64,
    num_workers=8,
    collate_fn=dict(type=vl_collate, pad_id=1),
)
# Checkpoints are chosen on the first 5,000 held-out images and reported on the next 5,000.
val_dataloader = dict(dataset=dict(split='val', stop=5000, **heldout), **eval_loader)
test_dataloader = dict(dataset=dict(split='test', start=5000, stop=10_000, **heldout), **eval_loader)

required_data = [
    dict(
        path=cc3m_train,
        what='CC3M with captions in cs de en fr ja zh (machine translations of UC2, as JSON lines of CCLM)',
        get='captions: the projects UC2 and CCLM; images: Conceptual Captions (google-research-datasets)',
        layout='a line an image: {"binary": base64 or path within data/cc3m, "image_id": ..., '
        '"caption": {"en": ..., "de": ..., ...}}',
        phases=['train'],
    ),
    dict(
        path=cc3m_heldout,
        what='10,000 images of CC3M that train.jsonl lacks, for validation and test',
        get='the translated validation split, or 10,000 lines moved out of train.jsonl before training',
        layout='as cc3m/train.jsonl',
    ),
    dict(
        path=cc3m_regions,
        what='regions of CC3M: 36 an image, 2048-d, with class distributions',
        get='tools/extract_roi_features.py configs/detectors/bottom_up_r101_c4_vg.py, with the images or\n'
        '--dataset-config=configs/rc3/pretrain_base.py:train_dataloader.dataset.sources.strict',
        layout='the store that it writes, or tools/dataset_converters/convert_roi_features.py makes of other files',
        phases=['train'],
    ),
    dict(
        path=heldout_regions,
        what='regions of the held-out images',
        get='as those of CC3M, --dataset-config=configs/rc3/pretrain_base.py:heldout',
        layout='as cc3m/regions',
    ),
    dict(
        path=wit_train,
        what='WIT: an image with texts in several languages that are not translations, and their relevance',
        get='texts, image addresses: WIT (google-research-datasets); scores in [0, 1]: a sentence encoder',
        layout='a line an image: {"image": path within data/wit, "image_id": ..., "texts": [["en", ...], '
        '["de", ...]],\n"relevance": {"0-1": 0.8, ...} by positions in "texts", or one number}',
        phases=['train'],
    ),
    dict(
        path=wit_regions,
        what='regions of WIT',
        get='as those of CC3M',
        layout='as cc3m/regions',
        phases=['train'],
    ),
    dict(
        path=wikimatrix,
        what='WikiMatrix, parallel sentences of each two of the six languages',
        get='WikiMatrix, in the project LASER; decompress the files (gunzip)',
        layout='a row a pair: margin score, sentence, sentence, separated by tabs',
        phases=['train'],
    ),
]
