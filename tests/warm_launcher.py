"""Runs scripts in forks of a process that has imported everything: a start costs milliseconds, not seconds.

Every run is a process of its own, which can be killed like any other. Requests and answers are lines of JSON.
Configs are printed without yapf, which takes longer than the training in these tests, and the pictures of the concepts
are there at the right sizes; the rest is as always.
"""

import atexit
import gc
import json
import os
import runpy
import sys
import traceback
from contextlib import suppress

import matplotlib.backends.backend_agg  # noqa: F401
import torch.utils.tensorboard  # noqa: F401
import transformers.models.xlm_roberta.modeling_xlm_roberta  # noqa: F401
import yapf.yapflib.yapf_api

import rc3mm.datasets
import rc3mm.engine
import rc3mm.models
import rc3mm.relevance

with suppress(ImportError):  # mmdet is an extra
    import rc3mm.models.detectors.attribute_head


def become(request: dict) -> None:
    """Turn this process into the script, to its end."""
    log = os.open(request['log'], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for target, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(source, target)
    script, *arguments = request['command']
    sys.argv = [script, *arguments]
    sys.path[0] = os.path.dirname(script)
    os.environ.update(request['environment'])
    code = 0
    try:
        for before in request['before']:  # what a test wants to happen inside the process
            runpy.run_path(before)
        runpy.run_path(script, run_name='__main__')
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if code and not isinstance(stop.code, int):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # without two seconds of taking modules apart


def main() -> None:
    """Serve one request at a time."""
    yapf.yapflib.yapf_api.FormatCode = lambda text, **_: (text, True)
    scenes = rc3mm.datasets.EmojiStrict(num_scenes=300, num_concepts=100, image_size=48)
    for index in range(len(scenes)):  # nothing that is computed here starts a thread, which a fork would lack
        scenes.get_texts(index)
    gc.freeze()
    answers = os.fdopen(os.dup(1), 'w')
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become(json.loads(line))
        print(json.dumps({'pid': child}), file=answers, flush=True)
        _, status = os.waitpid(child, 0)
        print(json.dumps({'code': os.waitstatus_to_exitcode(status)}), file=answers, flush=True)


if __name__ == '__main__':
    main()
