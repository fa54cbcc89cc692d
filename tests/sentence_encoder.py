"""A real sentence-transformers model with tiny random weights, made on the spot."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors


def make_encoder(folder: Path) -> Path:
    """Write a mean-pooled BERT of two layers over single characters; returns its folder."""
    pytest.importorskip('sentence_transformers')
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    letters = 'abcdefghijklmnopqrstuvwxyz0123456789.,:;äöüßéèçřžšě犬猫花'
    vocabulary = {token: index for index, token in enumerate(['[PAD]', '[UNK]', '[CLS]', '[SEP]', *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token='[UNK]'))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split('', 'isolated')]
    )
    tokenizer.post_processor = processors.BertProcessing(('[SEP]', 3), ('[CLS]', 2))
    inner = folder / 'bert'
    BertTokenizerFast(tokenizer_object=tokenizer).save_pretrained(inner)
    torch.manual_seed(0)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=128, **sizes)).save_pretrained(inner)
    transformer = Transformer(str(inner), max_seq_length=128)
    SentenceTransformer(modules=[transformer, Pooling(32)], device='cpu').save(str(folder / 'model'))
    return folder / 'model'
