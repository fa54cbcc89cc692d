"""CC3M in six languages (strict), WIT (weak) and WikiMatrix (parallel); retrieval on held-out CC3M.

Each process takes 128 images or sentence pairs a batch. configs/rc3/pretrain_base.py shows the files' layout.
"""

from mmengine.config import read_base

with read_base():
    from ..paths import *

from rc3mm.datasets import (
    DecodeImage,
    EvalSampler,
    LoadRegions,
    MaskTokens,
    MixedSources,
    MixedSourceSampler,
    PackVLInputs,
    ResizeImage,
    RoiStore,
    ShardedPairs,
    Tokenize,
    vl_collate,
)

languages = ['cs', 'de', 'en', 'fr', 'ja', 'zh']
tokenizer = text_weights
image_size = 224

cc3m_train = f'{data_root}/cc3m/train'
cc3m_heldout = f'{data_root}/cc3m/heldout'
cc3m_regions = f'{data_root}/cc3m/regions'
heldout_regions = f'{data_root}/cc3m/heldout_regions'
wit_train = f'{data_root}/wit/train'
wit_scores = f'{wit_train}/relevance/labse'
wit_regions = f'{data_root}/wit/regions'
wikimatrix = {f'{a}-{b}': f'{data_root}/wikimatrix/{a}-{b}' for a in languages for b in languages if a < b}

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
    type=ShardedPairs,
    path=cc3m_train,
    source='strict',
    languages=languages,
    seed=1,
    pipeline=[*cc3m_visual, tokenize, mask_pair, pack],
)
# The relevance of the pairs was scored once beforehand. In a small corpus it can be scored on the fly instead: leave
# `relevance` out and put before `pack`
#     dict(type=ScoreRelevance, scorer=dict(type=SentenceIDRelevance, num_sentences=200_000,
#          corpus=dict(type=ShardedPairs, path=cc3m_train, languages=languages)))
weak = dict(
    type=ShardedPairs,
    path=wit_train,
    source='weak',
    languages=languages,
    relevance='labse',
    language_temperature=2.0,  # languages other than English come more often than in the data
    max_bad_share=0.05,  # images fetched from the web
    seed=2,
    pipeline=[*wit_visual, tokenize, mask_single, pack],
)
parallel = {
    f'parallel/{pair}': dict(
        type=ShardedPairs, path=path, source='parallel', seed=3, pipeline=[tokenize, mask_parallel, pack]
    )
    for pair, path in wikimatrix.items()
}

train_dataloader = dict(
    dataset=dict(type=MixedSources, sources=dict(strict=strict, weak=weak, **parallel)),
    sampler=dict(
        type=MixedSourceSampler,
        batch_size=dict(strict=128, weak=128, parallel=128),
        ratios=dict(strict=0.5, weak=0.4, parallel=0.1),
        temperature=2.0,  # of the pairs of languages of the parallel text
        # Images are read in sequence: a worker keeps 12 blocks of 1,024, a quarter of a gigabyte at 20 KB an image.
        order=dict(strict='stream', weak='stream'),
        stream_window=4,
        length_pool=64,
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
    type=ShardedPairs,
    path=cc3m_heldout,
    source='retrieval',
    languages=languages,
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

convert = 'python tools/dataset_converters'
required_data = [
    dict(
        path=cc3m_train,
        what='CC3M with captions in cs de en fr ja zh (machine translations of UC2, or the JSON lines of CCLM)',
        get='captions: the projects UC2 and CCLM; images: Conceptual Captions, fetched with img2dataset; then\n'
        f'{convert}/cc3m_to_shards.py {cc3m_train} --tsv en=... de=... --images ..., or --jsonl ...',
        layout='the shard set that this command writes',
        phases=['train'],
    ),
    dict(
        path=cc3m_heldout,
        what='10,000 images of CC3M that the training set lacks, for validation and test',
        get=f'the translated validation split, or 10,000 lines set apart; then\n{convert}/cc3m_to_shards.py '
        f'{cc3m_heldout} ... --kind retrieval',
        layout='a shard set',
    ),
    dict(
        path=cc3m_regions,
        what='regions of CC3M: 36 an image, 2048-d, with class distributions',
        get='tools/extract_roi_features.py configs/detectors/bottom_up_r101_c4_vg.py, with the shard set as the images',
        layout='the store that it writes, or tools/dataset_converters/convert_roi_features.py makes of other files',
        phases=['train'],
    ),
    dict(
        path=heldout_regions,
        what='regions of the held-out images',
        get='as those of CC3M',
        layout='as cc3m/regions',
    ),
    dict(
        path=wit_train,
        what='WIT: an image with texts in several languages that are not translations',
        get='wit_v1.train.all-*.tsv.gz of WIT (google-research-datasets), images fetched with img2dataset; then\n'
        f'{convert}/wit_to_shards.py wit_v1.train.all-*.tsv.gz {wit_train} --images ...',
        layout='the shard set that this command writes',
        phases=['train'],
    ),
    dict(
        path=wit_scores,
        what='relevance of the pairs of texts of WIT, scored by LaBSE',
        get=f'python tools/score_relevance.py {wit_train} \\\n'
        f'    --scorer sentence_transformer:sentence-transformers/LaBSE --name labse --calibrate-on {cc3m_train}',
        layout='the folder that this command writes',
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
        path=list(wikimatrix.values()),
        what='WikiMatrix, parallel sentences of each two of the six languages',
        get=f'WikiMatrix.*.tsv.gz, in the project LASER; then\n{convert}/wikimatrix_to_shards.py WikiMatrix.*.tsv.gz '
        f'{data_root}/wikimatrix',
        layout='a shard set a pair of languages',
        phases=['train'],
    ),
]
