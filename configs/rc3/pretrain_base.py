"""RC3 at full scale: CC3M (strict), WIT (weak) and WikiMatrix (parallel).

Command:    tools/dist_train.sh configs/rc3/pretrain_base.py 8
Continue:   tools/dist_train.sh configs/rc3/pretrain_base.py 8 --resume
Machine:    8 GPUs of 80 GB, 12 CPU cores a GPU, about 2.5 TB of fast disk (most of it region features).
Time:       one to two days on A100s for 200,000 iterations. ESTIMATED from operation counts, not measured.
Result:     none yet; this configuration has not been run to its end.

Data and weights are not shipped. The program says what is missing, what it is and where to get it:

    data/                                   or another folder: RC3MM_DATA=...
        cc3m/
            train/                          a shard set: CC3M with captions in six languages
            heldout/                        one of 10,000 other images of CC3M
            regions/                        a RoiStore: 36 regions an image, see docs/roi_features.md
            heldout_regions/
        wit/
            train/                          a shard set: images with texts in several languages
                relevance/labse/            scores of its pairs of texts
            regions/
        wikimatrix/
            aa-bb/                          15 shard sets, one a pair of cs de en fr ja zh
    weights/                                or another folder: RC3MM_WEIGHTS=...
        xlm-roberta-base/                   else fetched from the Hugging Face hub
        vit_base_patch16_224.safetensors    else fetched by timm

docs/corpora.md has the commands that make the shard sets, docs/data.md describes them. Once they are made, measure
their texts, so that batches are padded little:

    python tools/dataset_converters/measure_token_lengths.py data/cc3m/train data/wit/train data/wikimatrix/* \\
        --tokenizer xlm-roberta-base
"""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.cc3m_wit_wikimatrix import *
    from .._base_.default_runtime import *
    from .._base_.models.rc3_base import *
    from .._base_.schedules.adamw_warmup_cosine_200k import *

from rc3mm.engine import RetrievalLoop
from rc3mm.evaluation import RetrievalMetric, ShortcutAccuracy

required_files = [*required_weights, *required_data]

val_cfg = dict(type=RetrievalLoop, bf16=True)
test_cfg = dict(type=RetrievalLoop, bf16=True, rerank_topk=16, shortcut=True, setting='held-out')
val_evaluator = [dict(type=RetrievalMetric)]
test_evaluator = [dict(type=RetrievalMetric), dict(type=ShortcutAccuracy)]

# What was trained before moves half as fast as what is new.
optim_wrapper.update(paramwise_cfg=dict(lr_mult={'text_encoder': 0.5, 'patch_encoder.model': 0.5}))

default_hooks.update(checkpoint=dict(interval=5000, max_keep_ckpts=3))
# A moving average of the weights, evaluated in place of the last ones:
#     custom_hooks.append(dict(type=EMAHook, momentum=2e-4))      # from mmengine.hooks import EMAHook
