"""The cases of ``gpu_ours.py`` by persistent kernels, in the precision BENCHMARK_PRECISION:
"highest", "high" (products of tf32) or "medium" (of bfloat16). Where there is no plan for a
run, that is said once, and it goes by steps.
"""

import dataclasses
import os
import sys
from functools import cache, partial

from sides import gpu_ours

from tinygrad_rnn.kernels.recurrence import gpu, run
from tinygrad_rnn.kernels.recurrence.persistent import gpu as persistent
from tinygrad_rnn.kernels.recurrence.persistent import plan_of

PRECISION = os.environ.get("BENCHMARK_PRECISION", "highest")
by_steps = gpu._GPU.walk


def walk(given, values, *, backwards):
    plan = plan_of(given, PRECISION)
    if isinstance(plan, str):
        say_once(plan)
        by_steps(given, values, backwards=backwards)
    else:
        persistent.walk(plan, given, values, backwards=backwards)


@cache
def say_once(why):
    print(f"By steps: {why}", file=sys.stderr)


def case(name):
    on = dataclasses.replace(gpu._GPU, walk=walk)
    gpu.forward, gpu.backward = partial(run.forward, on), partial(run.backward, on)
    return gpu_ours.case(name)
