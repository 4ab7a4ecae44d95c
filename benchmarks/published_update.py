"""Times an update of a published implementation in JAX: FAN's from a checkout of github.com/brianlsy98/FAN, the other
methods' from a checkout of github.com/chongyi-zheng/value-flows.

It needs jax, flax, optax, distrax and ml_collections. It does not change the checkout.
"""

import argparse
import importlib.util
import json
import pathlib
import statistics
import sys
import time

# The module and the class of each agent, by fan-dist's name for it.
AGENTS = {
    "fan": ("fan", "FANAgent"),
    "rebrac": ("rebrac", "ReBRACAgent"),
    "iqn": ("iqn", "IQNAgent"),
    "codac": ("codac", "CODACAgent"),
    "value-flows": ("value_flows", "ValueFlowsAgent"),
}

parser = argparse.ArgumentParser()
parser.add_argument("checkout")
parser.add_argument("--agent", choices=AGENTS, default="fan")
parser.add_argument("--batch-size", type=int, default=256)
parser.add_argument("--observation-size", type=int, default=37)
parser.add_argument("--observation-shape", metavar="H,W,C", help="height, width and channels of images")
parser.add_argument("--encoder", help="the encoder of images, such as impala_small")
parser.add_argument("--action-size", type=int, default=5)
parser.add_argument("--hidden", default="512,512,512,512")
parser.add_argument("--seconds", type=float, default=3.0, help="time to measure for")
options = parser.parse_args()

sys.path.insert(0, options.checkout)
import jax
import numpy as np

name, kind = AGENTS[options.agent]
path = pathlib.Path(options.checkout, "agents", f"{name}.py")
if not path.exists():
    sys.exit(f"{path}: no such file; {options.agent} needs another checkout, see benchmarks/README.md")
spec = importlib.util.spec_from_file_location(name, path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

A, B = options.action_size, options.batch_size
random = np.random.default_rng(0)
config = module.get_config()
config.actor_hidden_dims = config.value_hidden_dims = tuple(int(width) for width in options.hidden.split(","))
config.batch_size = B
if options.encoder:
    config.encoder = options.encoder


def observations():
    if options.observation_shape:
        shape = tuple(int(size) for size in options.observation_shape.split(","))
        return random.integers(0, 256, (B, *shape), dtype=np.uint8)
    return random.standard_normal((B, options.observation_size), dtype=np.float32)


batch = {
    "observations": observations(),
    "next_observations": observations(),
    "actions": random.uniform(-1, 1, (B, A)).astype(np.float32),
    "next_actions": random.uniform(-1, 1, (B, A)).astype(np.float32),
    "rewards": -np.ones(B, np.float32),
    "masks": np.ones(B, np.float32),
}
example = {key: value[:1] for key, value in batch.items()} | {"min_reward": -1.0, "max_reward": 0.0}
agent = getattr(module, kind).create(0, example, config)
number = 0


def update():
    global agent, number
    # ReBRAC's actor learns in every second update.
    full = {"full_update": number % config.actor_freq == 0} if options.agent == "rebrac" else {}
    agent, _ = agent.update(batch, **full)
    number += 1
    jax.block_until_ready(agent.network.params)


def act():
    jax.block_until_ready(agent.sample_actions(batch["observations"][0], seed=jax.random.PRNGKey(0)))


def milliseconds(work, seconds):
    work(), work(), work()
    start = time.perf_counter()
    work()
    count = 2 * max(1, int(seconds / 10 / (time.perf_counter() - start)))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(count):
            work()
        times.append((time.perf_counter() - start) / count)
    return 1e3 * statistics.median(times)


print(
    json.dumps(
        {
            "name": f"published code, jax {jax.__version__}",
            "update": milliseconds(update, options.seconds),
            "action": milliseconds(act, 0.5),
        }
    )
)
