"""Small weights in the layouts of the real ones, a picture, region features: what the tests of configs run on."""

import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
from PIL import Image
from safetensors.torch import save_file
from transformers import XLMRobertaConfig, XLMRobertaModel

import rc3mm.datasets
from rc3mm.datasets.roi import RoiManifest, begin_store, finish_store, write_shard
from rc3mm.structures import Regions

VIT = dict(embed_dim=24, depth=1, num_heads=2)


def make_jpeg(number: int) -> bytes:
    """A picture of noise, each number another."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (40 + number, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, 'JPEG')
    return buffer.getvalue()


def make_regions(folder: Path, names: Sequence[str]) -> None:
    """A store of 36 regions an image."""
    rng = np.random.default_rng(0)
    boxes = np.tile(np.array([5, 5, 30, 30], np.float32), (36, 1))

    def regions() -> Regions:
        features = rng.random((36, 2048), dtype=np.float32)
        probs = rng.dirichlet(np.ones(1601), 36).astype(np.float32)
        return Regions(features, boxes, (40, 60), class_probs=probs)

    plan = RoiManifest('made', 'pooled', 2048, num_shards=1, shard_size=len(names), inputs='', num_classes=1600)
    begin_store(folder, plan)
    write_shard(folder, 0, [(name, regions()) for name in names])
    finish_store(folder)


def make_weights(root: Path) -> None:
    """A small XLM-R with a tokenizer, and a small ViT, as transformers and timm save them."""
    folder = root / 'xlm-roberta-base'
    shutil.copytree(Path(rc3mm.datasets.__file__).parent / 'emoji' / 'tokenizer', folder)
    config = XLMRobertaConfig(
        vocab_size=6000,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=140,
    )
    XLMRobertaModel(config).save_pretrained(folder)
    vit = timm.create_model('vit_base_patch16_224', num_classes=3, **VIT)
    save_file(vit.state_dict(), root / 'vit_base_patch16_224.safetensors')


def shrink_model(model: dict[str, Any]) -> None:
    """Narrow and shallow; what comes from files keeps coming from there."""
    if 'pretrained' not in model['text_encoder']:
        return  # the tiny model is small already
    model['patch_encoder'].update(VIT)
    model['fusion'].update(width=32, depth=1, heads=2)
    for name, objective in model.get('objectives', {}).items():
        if name in ('itm', 'mrm'):
            objective.update(width=32)
    if 'embed_dim' in model:
        model['embed_dim'] = 16
    if 'decoder' in model:
        model['decoder'].update(depth=1, heads=2)
