"""Shards, length pools and groups together: under a tenth of what the text encoder computes is padding, unbiased."""

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from rc3mm.datasets import EmojiWeak, MixedSources, MixedSourceSampler, ShardedPairs, Tokenize
from rc3mm.datasets.corpora.multi30k import read_multi30k
from rc3mm.datasets.shards import ImageTextRecord, ShardSet
from rc3mm.datasets.shards.drops import DropReport
from rc3mm.datasets.shards.token_lengths import write_token_lengths
from rc3mm.models.layers import length_groups
from tests.test_datasets.test_shards.making import make_set

MULTI30K = Path(__file__).parents[3] / 'shared/data/multi30k'
POOL, GROUPS = 64, 4  # as the base config has them


def shares_of_padding(folder: Path, tokenizer: str, batch_size: int) -> tuple[float, float]:
    """Over one epoch of a shard set: padding without a pool or groups, and with both; each row must come once."""
    tokenize = Tokenize(tokenizer, 64)
    write_token_lengths(ShardSet(folder), tokenize)
    source = MixedSources({'texts': ShardedPairs(path=folder, pipeline=[tokenize])})
    shares = []
    for pool, groups in ((1, 1), (POOL, GROUPS)):
        batches = len(source) // batch_size // POOL * POOL
        drawn, real, computed = Counter[int](), 0, 0
        for draws in islice(MixedSourceSampler(source, batch_size, length_pool=pool), batches):
            drawn.update(draw.index for draw in draws)
            lengths = [len(ids) for sample in source[draws] for ids in sample['text_ids']]
            real += sum(lengths)
            computed += sum(max(lengths[r] for r in rows) * len(rows) for rows in length_groups(lengths, groups))
        assert len(drawn) == batches * batch_size and set(drawn.values()) == {1}, 'a row came twice within an epoch'
        shares.append(1 - real / computed)
    return shares[0], shares[1]


def test_weak_texts(tmp_path: Path) -> None:
    scenes = EmojiWeak(num_scenes=2048)
    records = [ImageTextRecord(str(index), tuple(scenes.get_texts(index))) for index in range(2048)]
    make_set(tmp_path / 'set', records, kind='weak')
    plain, bucketed = shares_of_padding(tmp_path / 'set', 'emoji', 32)
    assert bucketed < 0.1 < 0.4 < plain, (plain, bucketed)


@pytest.mark.skipif(not MULTI30K.is_dir(), reason=f'needs the real captions in {MULTI30K}')
def test_real_captions_in_four_languages(tmp_path: Path) -> None:
    captioned = read_multi30k(MULTI30K, 'val', ('en', 'de', 'fr', 'cs'), DropReport())
    records = [ImageTextRecord(image.image_id, tuple(image.texts)) for image in captioned]
    make_set(tmp_path / 'set', records, kind='strict')
    tokenizer = Tokenizer(BPE(unk_token='<unk>'))
    tokenizer.pre_tokenizer = Whitespace()
    special = ['<s>', '<pad>', '</s>', '<unk>', '<mask>']
    texts = (text for record in records for _, text in record.texts)
    tokenizer.train_from_iterator(texts, BpeTrainer(vocab_size=4000, special_tokens=special, show_progress=False))
    tokenizer.post_processor = TemplateProcessing('<s> $A </s>', special_tokens=[('<s>', 0), ('</s>', 2)])
    names = dict(bos_token='<s>', pad_token='<pad>', eos_token='</s>', unk_token='<unk>', mask_token='<mask>')
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(tmp_path / 'tokenizer')
    plain, bucketed = shares_of_padding(tmp_path / 'set', str(tmp_path / 'tokenizer'), 15)
    assert bucketed < 0.1 < 0.3 < plain, (plain, bucketed)
