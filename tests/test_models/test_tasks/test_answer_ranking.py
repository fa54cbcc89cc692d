"""The answer ranker: what it thinks likely, which answers it ranks, what it learns from, and where it starts."""

import json
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pytest
import torch
from mmengine.config import Config

from rc3mm.datasets import vl_collate
from rc3mm.models import VLAnswerRanker
from rc3mm.registry import DATASETS, MODELS
from rc3mm.structures import VisualForm
from rc3mm.utils.checkpoint import load_state_dict
from tests.distributed import run_on_processes
from tests.test_models.conftest import tiny_backbone

BOTH = VisualForm.BOTH
NAMES: dict[str, Any] = dict(type='answer_names', level='easy', num_concepts=60)
NUM_ANSWERS = 2 + 4 + 4 + 60


def tiny_ranker(seed: int = 1, **options: Any) -> VLAnswerRanker:
    """With the backbone of the tiny RC3 of these tests; in evaluation mode."""
    torch.manual_seed(seed)
    decoder = dict(type='TextDecoder', depth=2, heads=2, mlp_ratio=2, max_positions=64)
    config: dict[str, Any] = dict(tiny_backbone(), decoder=decoder, tokenizer='emoji', answers=NAMES, top_k=None)
    return MODELS.build({'type': 'VLAnswerRanker', **config, **options}).eval()


def questions(model: VLAnswerRanker, number: int = 8) -> dict[str, Any]:
    """A batch of EmojiScenes as the model gets it."""
    pipeline = [
        dict(type='RoiPixels'),
        dict(type='Tokenize', tokenizer='emoji', max_length=60),
        dict(type='PackVLInputs'),
    ]
    world = dict(num_concepts=60, image_size=32, languages=('en', 'de'), num_items=12)
    dataset = DATASETS.build(dict(type='EmojiVQA', pipeline=pipeline, **world))
    return model.data_preprocessor(vl_collate([dataset[index] for index in range(number)]))


def rows_of(inputs: dict[str, Any], rows: slice) -> dict[str, Any]:
    return {name: value[rows] if isinstance(value, torch.Tensor) else value for name, value in inputs.items()}


@torch.no_grad()
def plain_likelihoods(model: VLAnswerRanker, inputs: dict[str, Any]) -> torch.Tensor:
    """Question by question, answer by answer, token by token: the chain rule as it is written down."""
    table = torch.zeros(len(inputs['label']), len(model.answers))
    for item in range(len(table)):
        memory = model.decoder.read_memory(*model.encode(rows_of(inputs, slice(item, item + 1)), BOTH))
        for number, answer in enumerate(model.answers):
            ids = model.tokenizer(answer)['input_ids']
            for place in range(1, len(ids)):
                hidden = model.read(torch.tensor([[ids[:place]]]), memory)[0, 0, -1]
                table[item, number] += model.lm_logits(hidden).log_softmax(-1)[ids[place]]
    return table


def test_scores_are_the_likelihoods_of_whole_answers() -> None:
    model = tiny_ranker(answers=['no', 'yes', '2', 'top left', 'red apple', 'apple'])
    inputs = questions(model, 3)['inputs']
    table = plain_likelihoods(model, inputs)
    torch.testing.assert_close(model.outputs(inputs, BOTH), table.log_softmax(1), rtol=1e-5, atol=1e-5)
    assert table.std(1).min() > 0.1


@pytest.mark.parametrize('top_k', [1, 7, NUM_ANSWERS - 1])
def test_the_first_token_chooses_and_the_whole_answer_ranks(top_k: int) -> None:
    model, whole = tiny_ranker(top_k=top_k), tiny_ranker()
    batch = questions(model)
    every = whole.outputs(batch['inputs'], BOTH)
    memory = whole.decoder.read_memory(*whole.encode(batch['inputs'], BOTH))
    firsts = [model.tokenizer(answer)['input_ids'][:2] for answer in model.answers]
    logits = whole.lm_logits(whole.read(torch.tensor([[firsts[0][:1]]] * 8), memory)[:, 0, 0])
    order = logits[:, [second for _, second in firsts]].sort(dim=1, descending=True, stable=True).indices
    for sample, row, chosen in zip(model(**batch, mode='predict'), every, order[:, :top_k], strict=True):
        assert sorted(sample.scores.isfinite().nonzero()[:, 0].tolist()) == sorted(chosen.tolist())
        torch.testing.assert_close(sample.scores[chosen], row[chosen].log_softmax(0), rtol=1e-5, atol=1e-5)
        assert int(sample.prediction) == int(chosen[row[chosen].argmax()])
        assert (sample.scores == -torch.inf).sum() == NUM_ANSWERS - top_k


def test_all_answers_chosen_is_all_answers_ranked() -> None:
    every = tiny_ranker()
    batch = questions(every)
    wanted = every.outputs(batch['inputs'], BOTH)
    assert torch.allclose(wanted.exp().sum(1), torch.ones(8), atol=1e-5)
    for top_k in (NUM_ANSWERS, NUM_ANSWERS + 1):
        assert torch.equal(tiny_ranker(top_k=top_k).outputs(batch['inputs'], BOTH), wanted)
    # by way of the first stage: an answer that nobody gives makes room for it
    names = [*every.answers, 'zzzzz zzzzz']
    nearly = tiny_ranker(answers=names, top_k=NUM_ANSWERS)
    some = nearly.outputs(batch['inputs'], BOTH)[:, :-1]
    both = some.isfinite()
    assert both.sum(1).min() >= NUM_ANSWERS - 1
    for mine, all_of_them, known in zip(some, wanted, both, strict=True):
        assert torch.equal(mine[known].argsort(stable=True), all_of_them[known].argsort(stable=True))


def test_an_item_is_answered_alone_as_in_a_batch() -> None:
    model = tiny_ranker(top_k=9)
    inputs = questions(model)['inputs']
    together = model.outputs(inputs, BOTH)
    for row in range(8):
        alone = model.outputs(rows_of(inputs, slice(row, row + 1)), BOTH)[0]
        torch.testing.assert_close(alone, together[row], rtol=1e-4, atol=1e-4)


def test_few_answers_of_a_question_are_read_at_once() -> None:
    """Memory does not grow with the list."""
    model = tiny_ranker(answers=[f'{first}{second} thing' for first in ascii_lowercase for second in ascii_lowercase])
    widths = []
    model.decoder.register_forward_hook(lambda _, given, __: widths.append(given[0].shape[1]))
    assert model.outputs(questions(model, 2)['inputs'], BOTH).isfinite().all()
    assert max(widths) <= 64 and sum(widths) == 26 * 26


@pytest.mark.parametrize('form', list(VisualForm))
def test_every_visual_form_serves(form: VisualForm) -> None:
    model = tiny_ranker(top_k=3)
    batch = questions(model, 2)
    samples = model.predict(batch['inputs'], batch['data_samples'], form)
    assert all(0 <= int(sample.prediction) < NUM_ANSWERS for sample in samples)


# -- learning


def test_the_loss_is_the_likelihood_of_the_right_answers_and_items_without_label_teach_nothing() -> None:
    model = tiny_ranker()
    batch = questions(model)
    inputs, label = batch['inputs'], batch['inputs']['label']
    with torch.no_grad():
        memory = model.decoder.read_memory(*model.encode(inputs, BOTH))
        ids, mask = model.answer_ids_CL[label][:, None], model.answer_mask_CL[label][:, None]
        terms = -model.likelihoods(memory, ids, mask)[:, 0]
    torch.testing.assert_close(model(**batch, mode='loss')['loss_answer'], terms.mean(), rtol=1e-5, atol=1e-5)
    label[:3] = -1
    torch.testing.assert_close(model(**batch, mode='loss')['loss_answer'], terms[3:].mean(), rtol=1e-5, atol=1e-5)
    label[:] = -1
    none = model(**batch, mode='loss')
    none['loss_answer'].backward()
    assert float(none['loss_answer'].detach()) == float(none['answer_acc']) == 0
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert not [name for name, gradient in gradients.items() if gradient is None or gradient.any()]


def loss_of(rows: list[tuple[int, int]]) -> float:
    """Of the rows of this process; the first three items have no label."""
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    model = tiny_ranker()
    batch = questions(model)
    batch['inputs']['label'][:3] = -1
    part = slice(*rows[rank])
    inputs = rows_of(batch['inputs'], part)
    return float(model(inputs, batch['data_samples'][part], mode='loss')['loss_answer'].detach())


def test_two_processes_have_the_loss_of_one(tmp_path: Path) -> None:
    """One labelled item on the first process, four on the second."""
    shares = run_on_processes(loss_of, ([(0, 4), (4, 8)],), tmp_path)
    assert sum(shares) / 2 == pytest.approx(loss_of([(0, 8)]), rel=1e-4)


def test_it_learns() -> None:
    """Eight questions by heart: text and images reach the decoder; what it writes is what it ranks first."""
    model = tiny_ranker(top_k=5).train()
    batch = questions(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(100):
        losses = model(**batch, mode='loss')
        optimizer.zero_grad()
        losses['loss_answer'].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert float(losses['answer_acc']) == 1
    found = model.eval()(**batch, mode='predict')
    assert [model.answers[int(sample.prediction)] for sample in found] == [sample.answer for sample in found]


# -- weights


def test_a_pre_trained_model_loads_by_name_and_the_decoder_starts_from_its_fusion_head(rc3: Any) -> None:
    pretrained, model = rc3(), tiny_ranker()
    report = load_state_dict(model, pretrained.state_dict())
    parts = {key.split('.')[0] for key in report.loaded}
    assert parts == {'text_encoder', 'patch_encoder', 'roi_encoder', 'fusion', 'lm_head'} and not report.reshaped
    assert {key.split('.')[0] for key in report.missing} == {'decoder'}
    own = model.state_dict()
    for name, value in pretrained.state_dict().items():
        if name.startswith(('fusion.layers.', 'fusion.norm.')):
            assert torch.equal(own[name.replace('fusion.', 'decoder.', 1)], value)
        assert name not in own or torch.equal(own[name], value)


def test_weights_are_of_no_list_of_answers() -> None:
    trained, other = tiny_ranker(seed=2), tiny_ranker(seed=3, answers=['ja', 'nein'])
    assert load_state_dict(other, trained.state_dict(), strict=True).clean
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), trained.parameters(), strict=True))


# -- answers


def test_answers_come_from_where_the_dataset_has_them(tmp_path: Path) -> None:
    """Names in a list, a function of the world, or the benchmark's files; also after a config was written down."""
    names = ['no', 'yes', 'light blue']
    (tmp_path / 'trainval_label2ans.json').write_text(json.dumps(names))
    (tmp_path / 'trainval_ans2label.json').write_text(json.dumps({name: label for label, name in enumerate(names)}))
    read = dict(type='read_answer_labels', folder=str(tmp_path))
    assert tiny_ranker(answers=read).answers == tiny_ranker(answers=names).answers == tuple(names)
    model = tiny_ranker()
    dataset = DATASETS.build(dict(type='EmojiVQA', num_concepts=60, num_items=4))
    assert model.answers == dataset.metainfo['answers'] and len(model.answers) == NUM_ANSWERS
    root = Path(__file__).resolve().parents[3]
    cfg = Config.fromfile(root / 'configs/xgqa/emoji_ranking.py')
    cfg.dump(tmp_path / 'stored.py')
    again = MODELS.build(Config.fromfile(tmp_path / 'stored.py').model)
    (source,) = cfg.train_dataloader.dataset.sources.values()
    assert again.answers == DATASETS.build({**source, 'num_items': 4}).answers


def test_answers_in_another_order_are_refused() -> None:
    model = tiny_ranker()
    batch = questions(model)
    first = batch['data_samples'][0]
    swapped = list(model.answers)
    swapped[first.label], swapped[-1] = swapped[-1], swapped[first.label]
    for mode in ('loss', 'predict'):
        with pytest.raises(ValueError, match=f"calls label {first.label} '{first.answer}', `answers` of this model '"):
            tiny_ranker(answers=swapped)(**batch, mode=mode)
    with pytest.raises(ValueError, match="`answers` of this model 'none'"):
        tiny_ranker(answers=list(model.answers[:2]))(**batch, mode='predict')


def test_what_it_refuses() -> None:
    with pytest.raises(ValueError, match='two answers and a top_k of 1 at least, got 1 and 3'):
        tiny_ranker(answers=['yes'], top_k=3)
    with pytest.raises(ValueError, match='two answers and a top_k of 1 at least, got 2 and 0'):
        tiny_ranker(answers=['no', 'yes'], top_k=0)
    with pytest.raises(ValueError, match="the answers 'yes' and ' yes' are the same to the tokenizer"):
        tiny_ranker(answers=['yes', 'no', ' yes'])
    decoder = dict(type='TextDecoder', depth=1, heads=2, mlp_ratio=2, max_positions=3)
    with pytest.raises(ValueError, match='raise its `max_positions`'):
        tiny_ranker(answers=['no', 'one two three four'], decoder=decoder)
