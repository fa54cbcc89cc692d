"""Token ids and masked inputs, with the tokenizer that ships and with one in the manner of BERT."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from rc3mm.datasets import EmojiParallel, MaskTokens, Tokenize
from rc3mm.datasets.tokenizers import load_tokenizer

WORDS = [f'w{i}' for i in range(60)]
TEMPLATES = {
    'bert': ('[CLS] $A [SEP]', '[CLS] $A [SEP] $B:1 [SEP]:1'),
    'prefix only': ('[CLS] $A', '[CLS] $A $B:1'),
    'one end': ('[CLS] $A [SEP]', '[CLS] $A $B:1 [SEP]:1'),
    'no start': ('$A [SEP]', '$A [SEP] $B:1 [SEP]:1'),
}


def word_tokenizer(folder: Path, kind: str, mask: bool = True) -> str:
    special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(special + WORDS)}, unk_token='[UNK]'))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    single, pair = TEMPLATES[kind]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[('[CLS]', 2), ('[SEP]', 3)]
    )
    names = dict(pad_token='[PAD]', unk_token='[UNK]', cls_token='[CLS]', sep_token='[SEP]')
    if mask:
        names['mask_token'] = '[MASK]'
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope='module')
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return word_tokenizer(tmp_path_factory.mktemp('bert'), 'bert')


def sample_of(tokenizer: str, *texts: str, seed: int = 0, max_length: int = 80) -> dict[str, Any]:
    sample = {
        'image_id': 'an-image',
        'texts': [('en', text) for text in texts],
        'rng': np.random.default_rng(seed),
    }
    return Tokenize(tokenizer, max_length)(sample)


def many_words(number: int, seed: int = 0) -> str:
    return ' '.join(np.random.default_rng(seed).choice(WORDS, number))


def test_tokenize_is_the_tokenizer_and_keeps_the_end_token_of_cut_texts() -> None:
    tokenizer = load_tokenizer('emoji')
    texts = ['cat', '', 'a dog left of a cat ' * 30]
    sample = Tokenize('emoji', max_length=12)({'texts': [('en', text) for text in texts]})
    assert [ids.dtype for ids in sample['text_ids']] == [np.int64] * 3
    assert sample['text_ids'][0].tolist() == tokenizer('cat')['input_ids']
    assert sample['text_ids'][1].tolist() == [0, 2]
    assert len(sample['text_ids'][2]) == 12
    assert sample['text_ids'][2].tolist() == [*tokenizer(texts[2])['input_ids'][:11], 2]


@pytest.mark.parametrize('name', ['emoji', 'bert'])
def test_what_masking_keeps(name: str, bert: str) -> None:
    tokenizer = bert if name == 'bert' else name
    special = load_tokenizer(tokenizer).all_special_ids
    dataset = EmojiParallel(num_scenes=40, image_size=32)
    mask = MaskTokens(tokenizer, kinds=('single', 'pair'), probability=0.4)
    for seed in range(40):
        texts = (
            [text for _, text in dataset.get_sample(seed)['texts']]
            if name == 'emoji'
            else [many_words(9, seed), 'w3 zz w4']
        )
        sample = mask(sample_of(tokenizer, *texts, seed=seed))
        loaded = load_tokenizer(tokenizer)
        originals = {
            'masked_pair': [loaded(*texts)['input_ids']],
            'masked_single': loaded(texts)['input_ids'],
        }
        for key, candidates in originals.items():
            masked = sample[key]
            positions, labels = masked['positions'], masked['labels']
            restored = masked['ids'].copy()
            restored[positions] = labels
            assert restored.tolist() in candidates  # labels are the original ids; the rest is unchanged
            assert len(positions) >= 1 and (np.diff(positions) > 0).all()
            assert not np.isin(labels, special).any()
            assert {masked[part].dtype for part in masked} == {np.dtype(np.int64)}
        assert [ids.tolist() for ids in sample['text_ids']] == loaded(texts)['input_ids']  # copies were masked


def test_bert_joins_with_one_separator_and_xlm_r_with_two(bert: str) -> None:
    joined = {}
    for name in (bert, 'emoji'):
        sample = MaskTokens(name, kinds=('pair',), probability=0.01)(sample_of(name, 'w1 w2', 'w3'))
        masked = sample['masked_pair']
        masked['ids'][masked['positions']] = masked['labels']
        joined[name] = masked['ids'].tolist()
        assert joined[name] == load_tokenizer(name)('w1 w2', 'w3')['input_ids']
    assert joined[bert].count(3) == 2 and joined['emoji'].count(2) == 3


@pytest.mark.parametrize('kind', ['prefix only', 'one end', 'no start'])
def test_other_ways_to_join_are_exact_or_refused(kind: str, tmp_path: Path) -> None:
    tokenizer = word_tokenizer(tmp_path, kind)
    MaskTokens(tokenizer)  # single texts need no joining
    if kind == 'prefix only':
        masked = MaskTokens(tokenizer, ('pair',))(sample_of(tokenizer, 'w1 w2', 'w3'))['masked_pair']
        masked['ids'][masked['positions']] = masked['labels']
        assert masked['ids'].tolist() == load_tokenizer(tokenizer)('w1 w2', 'w3')['input_ids']
    else:
        with pytest.raises(ValueError, match='marks pairs in an unknown way; leave `pair` out of kinds'):
            MaskTokens(tokenizer, ('single', 'pair'))


@pytest.mark.parametrize(
    ('words', 'probability', 'bound', 'expected'),
    [
        (40, 0.15, None, 6),
        (1, 0.15, None, 1),
        (2, 0.15, None, 1),
        (40, 1.0, None, 40),
        (40, 0.5, 7, 7),
        (40, 0.15, 100, 6),
        (40, 0.5, 1, 1),
    ],
)
def test_share_and_bound(bert: str, words: int, probability: float, bound: int | None, expected: int) -> None:
    mask = MaskTokens(bert, ('single', 'pair'), probability, bound)
    for seed in range(5):
        sample = mask(sample_of(bert, many_words(words, seed), '', seed=seed))
        assert len(sample['masked_pair']['positions']) == expected


def test_eighty_ten_ten_and_every_place_alike(bert: str) -> None:
    mask, number = MaskTokens(bert, probability=0.25), 20_000
    masked = mask(sample_of(bert, many_words(number), max_length=10**6))['masked_single']
    now, before = masked['ids'][masked['positions']], masked['labels']
    count = number // 4
    assert len(now) == count
    is_mask, same = (now == 4).mean(), (now == before).mean()
    other = 1 - is_mask - same
    deviation = (0.1 * 0.9 / count) ** 0.5
    assert abs(is_mask - 0.8) < 5 * (0.8 * 0.2 / count) ** 0.5
    # One random token in 60 is the original by chance.
    assert abs(same - (0.1 + 0.1 / 60)) < 5 * deviation and abs(other - (0.1 - 0.1 / 60)) < 5 * deviation
    replaced = now[(now != 4) & (now != before)]
    assert replaced.min() >= 5 and len(set(replaced.tolist())) == len(WORDS)  # no special token, all ordinary ones
    quarters = np.histogram(masked['positions'], bins=4, range=(1, number + 1))[0]
    assert abs(quarters / count - 0.25).max() < 5 * (0.25 * 0.75 / count) ** 0.5


def test_the_generator_alone_decides(bert: str) -> None:
    mask = MaskTokens(bert, ('single', 'pair'))

    def run(seed: int) -> str:
        sample = mask(sample_of(bert, many_words(30), many_words(25, 1), seed=seed))
        return repr([(key, part.tolist()) for key in ('masked_single', 'masked_pair') for part in sample[key].values()])

    np.random.seed(0)
    first = run(1)
    np.random.seed(1)
    assert run(1) == first != run(2)
    assert len({run(seed) for seed in range(20)}) == 20
    lengths = {len(mask(sample_of(bert, 'w1', 'w1 w2', seed=seed))['masked_single']['ids']) for seed in range(20)}
    assert lengths == {3, 4}  # either text may be the masked one


def test_empty_texts_give_nothing_to_predict(bert: str) -> None:
    sample = MaskTokens(bert, ('single', 'pair'))(sample_of(bert, '', ''))
    for key, ids in (('masked_single', [2, 3]), ('masked_pair', [2, 3, 3])):
        assert sample[key]['ids'].tolist() == ids
        assert len(sample[key]['positions']) == len(sample[key]['labels']) == 0
        assert sample[key]['positions'].dtype == sample[key]['labels'].dtype == np.int64


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'kinds': ('triple',)}, 'among single and pair'),
        ({'kinds': ()}, 'among single and pair'),
        ({'probability': 0}, r'probability must be in \(0, 1\], got 0'),
        ({'probability': 1.5}, 'got 1.5'),
        ({'max_masked': 0}, 'max_masked must be at least 1, or None'),
    ],
)
def test_arguments_that_do_not_fit(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaskTokens('emoji', **kwargs)


def test_what_cannot_be_masked_is_named(bert: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='two texts; sample an-image has 1'):
        MaskTokens(bert, ('pair',))(sample_of(bert, 'w1'))
    with pytest.raises(ValueError, match=f'{tmp_path.name}" has no mask token'):
        MaskTokens(word_tokenizer(tmp_path, 'bert', mask=False))


@pytest.mark.parametrize('name', ['emoji', 'bert'])
def test_ids_are_those_of_the_tokenizer_itself(name: str, bert: str) -> None:
    name = bert if name == 'bert' else name
    texts = [
        '',
        'w1',
        'a dog and a violin on a red sofa',
        ' '.join(WORDS),
        '犬とヴァイオリン',
        '<mask> [MASK] </s> [SEP]',
    ]
    own = load_tokenizer(name)
    for max_length in (80, 7, 3, 80):  # the instance is shared: each asks for what it wants
        expected = own(texts, truncation=True, max_length=max_length)['input_ids']
        own(texts, padding=True)
        assert Tokenize(name, max_length).encode(texts) == expected
        assert own(texts)['input_ids'] == Tokenize(name, 1000).encode(texts)
