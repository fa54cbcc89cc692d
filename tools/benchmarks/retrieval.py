"""Ranking and re-ranking of cross-modal retrieval; prints one JSON line.

rank    ranks of both directions between images and their captions, by embeddings
topk    the best ten of many items for many queries, beside FAISS's flat index where it is installed
rerank  two stages (towers, then ITM of the best candidates) against the fusion head on all pairs, as IGLUE does
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor

from rc3mm.evaluation.functional import positives_of_images, positives_of_texts, recall_at_k, retrieval_ranks, top_k
from rc3mm.registry import RUNNERS
from rc3mm.structures import VisualForm

_EXAMPLES = """\
examples:
  python tools/benchmarks/retrieval.py rank                                   # 5,000 images, 25,000 captions
  python tools/benchmarks/retrieval.py topk --queries 100000 --items 1000000
  python tools/benchmarks/retrieval.py rerank --checkpoint work_dirs/pretrain_tiny/iter_2000.pth
  python tools/benchmarks/retrieval.py rerank --checkpoint work_dirs/pretrain_tiny/iter_2000.pth --rows 100
"""
CONFIG = 'configs/rc3/pretrain_tiny.py'


def main() -> None:
    """Measure and print."""
    args = parse_args()
    cases: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {'rank': rank, 'topk': topk, 'rerank': rerank}
    with torch.inference_mode():
        report = cases[args.case](args)
    print(
        json.dumps(
            {
                'benchmark': f'retrieval {args.case}',
                'device': f'cpu, {torch.get_num_threads()} threads',
                'torch': torch.__version__,
                **report,
            }
        )
    )


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=_EXAMPLES
    )
    parser.add_argument('case', choices=['rank', 'topk', 'rerank'])
    parser.add_argument('--images', type=int, help='images (5000; for rerank 1000)')
    parser.add_argument('--captions', type=int, default=5, help='captions an image, for rank')
    parser.add_argument('--queries', type=int, default=100_000, help='for topk')
    parser.add_argument('--items', type=int, default=1_000_000, help='for topk')
    parser.add_argument('--width', type=int, default=256, help='of the embeddings, for rank and topk')
    parser.add_argument('--checkpoint', help=f'weights for {CONFIG}, for rerank; random ones otherwise')
    parser.add_argument('--topk', type=int, help="candidates that are re-ranked (the config's)")
    parser.add_argument('--rows', type=int, help='score the pairs of this many images alone with the fusion head')
    return parser.parse_args()


def unit(rows: int, width: int, seed: int) -> Tensor:
    """Random embeddings of unit length."""
    rows_NE = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))
    return rows_NE.div_(rows_NE.norm(dim=1, keepdim=True))  # in place, so that its memory is not taken for the search's


def memory() -> int:
    """Bytes that the process has taken at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def clock(function: Callable[[], Any]) -> tuple[Any, float, int]:
    """What a function returns, its seconds, and the bytes by which the process grew beyond what it had taken before."""
    before, start = memory(), time.perf_counter()
    found = function()
    return found, time.perf_counter() - start, memory() - before


def rank(args: argparse.Namespace) -> dict[str, Any]:
    """Ranks of both directions."""
    images = args.images or 5000
    image_NE = unit(images, args.width, 0)
    owner_M = torch.arange(images).repeat_interleave(args.captions)
    text_ME = F.normalize(image_NE[owner_M] + 0.08 * torch.randn(len(owner_M), args.width), dim=1)

    def both() -> tuple[Tensor, Tensor]:
        _, right_texts = positives_of_images(owner_M, images)
        by_text = retrieval_ranks(text_ME, image_NE, positives_of_texts(owner_M))
        return by_text, retrieval_ranks(image_NE, text_ME, right_texts)

    (t2i, i2t), seconds, grown = clock(both)
    return {
        'images': images,
        'texts': len(owner_M),
        'width': args.width,
        'seconds': round(seconds, 2),
        'memory_mb': round(grown / 2**20),
        'embeddings_mb': round((image_NE.nbytes + text_ME.nbytes) / 2**20),
        'recall': {'t2i': recall_at_k(t2i), 'i2t': recall_at_k(i2t)},
    }


def topk(args: argparse.Namespace) -> dict[str, Any]:
    """The best ten items of each query."""
    query_QE, item_NE = unit(args.queries, args.width, 0), unit(args.items, args.width, 1)
    rate = matmul_rate()
    (_, index_Qk), seconds, grown = clock(lambda: top_k(query_QE, item_NE, 10))
    flop = 2.0 * args.queries * args.items * args.width
    report: dict[str, Any] = {
        'queries': args.queries,
        'items': args.items,
        'width': args.width,
        'seconds': round(seconds, 2),
        'memory_mb': round(grown / 2**20),
        'embeddings_mb': round((query_QE.nbytes + item_NE.nbytes) / 2**20),
        'share_of_float32_matmul_rate': round(flop / seconds / rate, 3),
    }
    try:
        import faiss
    except ImportError:
        return report | {'faiss': 'not installed'}
    flat = faiss.IndexFlatIP(args.width)
    flat.add(item_NE.numpy())
    (_, theirs), faiss_seconds, _ = clock(lambda: flat.search(query_QE.numpy(), 10))
    same = float((torch.from_numpy(theirs) == index_Qk).float().mean())
    return report | {'faiss': {'seconds': round(faiss_seconds, 2), 'same': round(same, 6)}}


def matmul_rate() -> float:
    """Floating-point operations a second of a square product in float32."""
    a, b = torch.randn(2, 2048, 2048)
    seconds = min(clock(lambda: a @ b)[1] for _ in range(6))
    return 2 * 2048**3 / seconds


def rerank(args: argparse.Namespace) -> dict[str, Any]:
    """Two stages against all pairs, one language, images to texts; R@1 of the same images by both."""
    images = args.images or 1000
    cfg = Config.fromfile(CONFIG)
    loader = cfg.test_dataloader
    loader.dataset.update(num_scenes=images, languages=('en',))
    cfg.update(custom_hooks=[], launcher='none', load_from=args.checkpoint, train_dataloader=None, train_cfg=None)
    cfg.update(optim_wrapper=None, param_scheduler=None, val_dataloader=None, val_cfg=None, val_evaluator=None)
    cfg.test_cfg.update(shortcut=False, **({'rerank_topk': args.topk} if args.topk else {}))
    cfg.test_evaluator = cfg.test_evaluator[:1]
    with tempfile.TemporaryDirectory() as folder:
        cfg.update(work_dir=folder, experiment_name=f'rerank{time.time_ns()}')
        runner: Any = RUNNERS.build(cfg)
        runner.logger.setLevel('ERROR')
        metrics, two_stages, _ = clock(runner.test)
        scores, texts, all_pairs, share = exhaustive(runner, args.rows or images)
    k = cfg.test_cfg.rerank_topk
    best_texts = scores.argmax(1)
    by_all = 100.0 * float((best_texts == torch.arange(len(scores))).float().mean())
    return {
        'config': CONFIG,
        'checkpoint': args.checkpoint,
        'images': images,
        'texts': texts,
        'topk': k,
        'two_stages_seconds': round(two_stages, 2),
        'two_stages_i2t_R@1': round(float(metrics['retrieval/en/itm_i2t_R@1']), 2),
        'all_pairs_seconds': round(all_pairs, 2),
        'all_pairs_measured_on': f'{100 * share:.0f} % of the images',
        'all_pairs_i2t_R@1': round(by_all, 2),
        'times_faster': round(all_pairs / two_stages, 1),
    }


def exhaustive(runner: Any, rows: int) -> tuple[Tensor, int, float, float]:
    """ITM scores of some images with all texts, the number of texts, seconds for all images, and the share scored.

    Encoders run once an image and a text; the fusion head sees each pair on its own, in batches as they come, padded to
    the longest text.
    """
    loop, model = runner.test_loop, runner.model
    form = VisualForm(loop.form or model.test_form)
    start = time.perf_counter()
    tokens, states, masks = [], [], []
    for inputs, _ in loop.batches(loop.dataloader):
        visual = model.encode_visual(inputs, [form])
        tokens += [visual.tokens_BVD[row][visual.visible_BV(form)[row]] for row in range(len(visual.tokens_BVD))]
        states.append(model.text_encoder(inputs['text_ids'], inputs['text_mask']))
        masks.append(inputs['text_mask'])
    width = max(mask.shape[1] for mask in masks)
    states_MTD = torch.cat([F.pad(part, (0, 0, 0, width - part.shape[1])) for part in states])
    mask_MT = torch.cat([F.pad(part, (0, width - part.shape[1])) for part in masks])
    encoding, start = time.perf_counter() - start, time.perf_counter()
    scores = []
    for tokens_VD in tokens[:rows]:
        parts = []
        for text in range(0, len(states_MTD), 500):
            states_BTD, mask_BT = states_MTD[text : text + 500, None], mask_MT[text : text + 500, None]
            visual_BVD = tokens_VD.expand(len(states_BTD), -1, -1)
            seen = torch.ones(len(states_BTD), 1, len(tokens_VD), dtype=torch.bool)
            parts.append(model.match_scores(model.fusion(states_BTD, mask_BT, visual_BVD, seen, pooled=True)[:, 0]))
        scores.append(torch.cat(parts))
    seconds = time.perf_counter() - start
    share = len(scores) / len(tokens)
    return torch.stack(scores), len(states_MTD), encoding + seconds / share, share


if __name__ == '__main__':
    main()
