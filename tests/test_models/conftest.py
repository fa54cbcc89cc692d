"""A tiny RC3 and real EmojiScenes batches for it."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from rc3mm.datasets import MixedSources, MixedSourceSampler, vl_collate
from rc3mm.models import RC3
from rc3mm.registry import DATASETS, MODELS

WIDTH = 32
OBJECTIVES: dict[str, dict[str, Any]] = {
    'itc': dict(type='ITC'),
    'itm': dict(type='ITM', width=WIDTH),
    'mlm': dict(type='MLM'),
    'mrm': dict(type='MRM', width=WIDTH, feature_dim=192, feature_weight=1.0, mask_probability=0.4),
    'vtlm': dict(type='VTLM'),
    'tlm': dict(type='TLM'),
    'xlco': dict(type='XLCO'),
    'xvtcl': dict(type='XVtCL'),
    'rxvtcl': dict(type='RXVtCL', regularizer=dict(type='BandRegularizer')),
}


def tiny_backbone() -> dict[str, Any]:
    """Encoders and fusion head, of about 230,000 parameters."""
    return dict(
        text_encoder=dict(
            type='TextEncoder',
            config=dict(
                vocab_size=6000,
                hidden_size=WIDTH,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=2 * WIDTH,
                max_position_embeddings=130,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            ),
        ),
        fusion=dict(type='FusionEncoder', width=WIDTH, depth=2, heads=2, mlp_ratio=2),
        patch_encoder=dict(
            type='PatchEncoder',
            model_name='vit_tiny_patch16_224',
            img_size=32,
            patch_size=8,
            embed_dim=WIDTH,
            depth=1,
            num_heads=2,
            mlp_ratio=2,
        ),
        roi_encoder=dict(type='RoiEncoder', feature_dim=192),
    )


def tiny_rc3(objectives: Sequence[str] | dict[str, Any] = tuple(OBJECTIVES), seed: int = 0, **kwargs: Any) -> RC3:
    """A model of about 250,000 parameters; the objectives by name or by config."""
    torch.manual_seed(seed)
    if not isinstance(objectives, dict):
        objectives = {name: OBJECTIVES[name] for name in objectives}
    config: dict[str, Any] = dict(
        type='RC3', embed_dim=16, form_probs=dict(both=1.0), objectives=objectives, **tiny_backbone()
    )
    config.update(kwargs)
    model = MODELS.build(config)
    model.train()
    return model


def emoji_batch(source: str, batch_size: int = 8, seed: int = 0) -> dict[str, Any]:
    """A collated batch as the training loader yields it (images still uint8)."""
    pipeline = [
        dict(type='RoiPixels'),
        dict(type='Tokenize', tokenizer='emoji', max_length=60),
        dict(type='MaskTokens', tokenizer='emoji', kinds=('single', 'pair')),
        dict(type='PackVLInputs'),
    ]
    if source == 'parallel':
        pipeline = pipeline[1:]
    types = {'strict': 'EmojiStrict', 'weak': 'EmojiWeak', 'parallel': 'EmojiParallel'}
    dataset = DATASETS.build(
        dict(type=types[source], num_scenes=1000, num_concepts=60, image_size=32, seed=seed, pipeline=pipeline)
    )
    mixed = MixedSources({source: dataset})
    draws = next(iter(MixedSourceSampler(mixed, batch_size, seed=seed)))
    batch = vl_collate(mixed[draws])
    if source == 'weak':
        generator = torch.Generator().manual_seed(seed)
        batch['inputs']['relevance'] = torch.rand(batch_size, generator=generator)
    return batch


@pytest.fixture
def batch() -> Callable[..., dict[str, Any]]:
    return emoji_batch


@pytest.fixture
def rc3() -> Callable[..., RC3]:
    return tiny_rc3


@pytest.fixture
def backbone() -> Callable[[], dict[str, Any]]:
    return tiny_backbone
