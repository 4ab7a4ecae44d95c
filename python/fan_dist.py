"""Policies and runs of fan-dist in Python. This one file needs NumPy alone; launch/python-env installs it.

    import numpy, fan_dist
    policy = fan_dist.Policy.load("policy.safetensors")     # of `fan-dist export`, or a checkpoint
    action = policy(observation, numpy.random.default_rng(0))

    run = fan_dist.Run.load("runs/my-run")
    run.evaluations["step"], run.evaluations["success"]
"""

import json
import math
import os
import re
import zlib

import numpy as np

__all__ = ["Policy", "Run", "runs", "table"]


class Policy:
    """A trained policy for vectors.

    agent             as --agent names it
    settings          the run's settings, name -> text
    observation_size  O
    action_size       A
    scales            how the data were scaled; {} if they were not. Observations and actions are in the data's own units
    inputs            name -> shape of the random inputs of one call; the first axis, None, is that of observations
    """

    FORMATS = ("fan-dist policy 1", "fan-dist checkpoint 2")
    # What a file may say beside its tensors. A key that is not here might change how the policy acts.
    KEYS = {
        "format", "version", "step", "optimiser_steps", "configuration", "dataset_digest", "observation_size",
        "action_size", "observation_order", "smallest_reward", "largest_reward", "success", "return", "agent", "env",
        "acting", "networks", "inputs", "outputs", "scales", "online", "value", "validation_digest",
    }
    # What the settings that acting depends on may be, as `fan-dist train` has it: the largest whole number, or words.
    LARGEST = {"flow_steps": 1000, "num_samples": 1024, "num_quantiles": 1024}
    WORDS = {
        "tanh_squash": ("true", "false"), "clip_flow_actions": ("true", "false"),
        "clip_flow_returns": ("true", "false"), "quantile_agg": ("mean", "min"), "q_agg": ("mean", "min"),
    }

    @classmethod
    def load(cls, path):
        """The policy of a file. Raises ValueError that says what is wrong with it, or OSError."""
        try:
            return cls(path)
        except (
            KeyError, TypeError, IndexError, AttributeError, OverflowError, MemoryError, RecursionError,
        ) as error:
            raise ValueError(f"{path}: not a policy of fan-dist: {error!r}") from error

    def __init__(self, path):
        metadata, self._tensors = read_safetensors(path)
        if metadata.get("format") not in self.FORMATS:
            raise ValueError(f"{path}: not a policy or checkpoint of this version of fan-dist")
        if "observation_shape" in metadata:
            raise ValueError(
                f"{path}: this policy sees images; fan_dist.py is for vectors. Take the .onnx file of `fan-dist export`"
            )
        unknown = sorted(key for key in metadata if key not in self.KEYS and not key.startswith("crc32"))
        if unknown:
            raise ValueError(f"{path}: says '{unknown[0]}', which this fan_dist.py does not know; take a newer one")
        self.metadata, self.settings = metadata, settings(metadata["configuration"])
        self.agent = self.settings["agent"]
        self._check_settings(path)
        self._check_tensors(path)
        self.observation_size = self._size("observation_size", path)
        self.action_size = self._size("action_size", path)
        try:
            self.scales = json.loads(metadata.get("scales", "{}"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: its scales cannot be read") from error
        self._observation_map = self._columns("observations", self.observation_size, path)
        self._action_map = self._columns("actions", self.action_size, path)
        size = self.action_size
        if self.agent in ("iqn", "value-flows"):
            self._candidates = int(self.settings["num_samples"])
            size *= self._candidates
        self.inputs = {} if self.agent == "rebrac" else {"noise": (None, size)}
        if self.agent == "iqn":
            self.inputs["taus"] = (self._candidates, int(self.settings["num_quantiles"]))
        elif self.agent == "value-flows":
            self.inputs["return_noise"] = (None, self._candidates)
        agents = {"rebrac": self._deterministic, "iqn": self._best_quantiles, "value-flows": self._best_return}
        self._act = agents.get(self.agent, self._one_step)
        # A tensor that is missing or has another shape is noticed here.
        try:
            self(np.zeros(self.observation_size), np.random.default_rng(0))
        except ValueError as error:
            raise ValueError(f"{path}: its tensors do not fit its sizes: {error}") from error

    def _check_settings(self, path):
        """Refuses settings that the trainer does not take: the file may come from anywhere."""
        for name, largest in self.LARGEST.items():
            value = self.settings.get(name, "1")
            if not is_whole(value, largest):
                raise ValueError(f"{path}: {name} is {value[:80]!r}, not a whole number from 1 to {largest}")
        for name, words in self.WORDS.items():
            value = self.settings.get(name, words[0])
            if value not in words:
                raise ValueError(f"{path}: {name} is {value[:80]!r}, not one of {', '.join(words)}")
        if self.agent == "value-flows" and self.settings["clip_flow_returns"] == "true":
            self._check_limits_of_returns(path)

    def _check_limits_of_returns(self, path):
        discount = number(self.settings["discount"])
        if not 0 <= discount < 1:
            raise ValueError(f"{path}: discount is {self.settings['discount'][:80]!r}, not a number from 0 to below 1")
        low, high = (number(self.metadata[name]) for name in ("smallest_reward", "largest_reward"))
        if not -math.inf < low <= high < math.inf:
            raise ValueError(f"{path}: smallest_reward and largest_reward are not two numbers in their order")

    def _check_tensors(self, path):
        for name, values in self._tensors.items():
            if not np.isfinite(values).all():
                raise ValueError(f"{path}: tensor {name!r} has numbers that are not finite; take another file")

    def _size(self, name, path):
        """A size from the metadata. It is not taken at its word: some tensor has a row or column for each number."""
        if not is_whole(self.metadata[name], sum(values.size for values in self._tensors.values())):
            raise ValueError(f"{path}: its tensors do not fit its sizes: {name} is {self.metadata[name][:80]!r}")
        return int(self.metadata[name])

    def _columns(self, what, size, path):
        """The shift and the scale of each column, as the single-precision numbers that they are; 0 and 1 without any."""
        columns = self.scales.get(what) or {"shift": [0] * size, "scale": [1] * size}
        lists = [columns[name] for name in ("shift", "scale")]
        if not all(type(value) in (int, float) for values in lists for value in values):
            raise ValueError(f"{path}: its scales are not numbers")
        with np.errstate(over="ignore"):
            shift, scale = (np.array(values, np.float32).astype(np.float64) for values in lists)
        is_finite = np.isfinite(shift).all() and np.isfinite(scale).all()
        if shift.shape != (size,) or scale.shape != (size,) or not (is_finite and (scale > 0).all()):
            raise ValueError(f"{path}: its scales do not fit its sizes")
        return shift, scale

    def __call__(self, observation, rng=None, **inputs):
        """The action for an observation of shape (O), or the actions, (batch, A), for (batch, O).

        Actions are in [-1, 1], or in the units of the data's actions where these were scaled.

        Random inputs that are not given are drawn from `rng`, a numpy.random.Generator, in the order of `inputs`;
        without it, from a fresh one.
        """
        # In single precision first, as the networks were trained: of large numbers it keeps what the data kept.
        if np.iscomplexobj(observation):
            raise ValueError("the observation has complex numbers")
        with np.errstate(over="ignore"):
            observation = np.asarray(observation, np.float32).astype(np.float64)
        batch = np.atleast_2d(observation)
        if observation.ndim not in (1, 2) or batch.shape[1] != self.observation_size:
            raise ValueError(f"the observation has shape {observation.shape}; its size is {self.observation_size}")
        if not np.isfinite(batch).all():
            raise ValueError("the observation has numbers that are not finite, or too large")
        rng = rng if rng is not None else np.random.default_rng()
        if not hasattr(rng, "standard_normal"):
            raise ValueError(f"rng is {type(rng).__name__}, not a numpy.random.Generator")
        unknown = set(inputs) - set(self.inputs)
        if unknown:
            raise ValueError(f"there is no input {min(unknown)!r}; there are {', '.join(self.inputs) or 'none'}")
        drawn = {}
        for name, shape in self.inputs.items():
            shape = tuple(len(batch) if size is None else size for size in shape)
            if name not in inputs:
                drawn[name] = rng.random(shape) if name == "taus" else rng.standard_normal(shape)
                continue
            drawn[name] = np.asarray(inputs[name], np.float64)
            if drawn[name].size != math.prod(shape):
                raise ValueError(f"'{name}' has shape {drawn[name].shape}, not {shape}")
            if not np.isfinite(drawn[name]).all():
                raise ValueError(f"'{name}' has numbers that are not finite")
            drawn[name] = drawn[name].reshape(shape)
        (shift, scale), (action_shift, action_scale) = self._observation_map, self._action_map
        action = np.clip(self._act((batch - shift) / scale, **drawn), -1, 1)
        action = (action * action_scale + action_shift).astype(np.float32)
        return action[0] if observation.ndim == 1 else action

    # How the agents act

    def _one_step(self, s, noise):
        return self._network("actor_onestep_flow", np.concatenate([s, noise], -1))

    def _deterministic(self, s):
        action = self._network("actor", s)
        return np.tanh(action) if self.settings["tanh_squash"] == "true" else action

    def _best_quantiles(self, s, noise, taus):
        states, actions = self._candidate_actions(s, noise)
        pair = self._network("critic/sa_embedding_net", np.concatenate([states, actions], -1))
        count = self._tensors["critic/tau_embedding_net/dense0/weight"].shape[0]
        level = self._network("critic/tau_embedding_net", np.cos(np.pi * np.arange(1, count + 1) * taus[..., None]))
        z = [self._network("critic", pair[:, :, None] * level, member)[..., 0] for member in (0, 1)]
        return self._best(actions, self._joined(z, "quantile_agg").mean(-1))

    def _best_return(self, s, noise, return_noise):
        states, actions = self._candidate_actions(s, noise)
        z = return_noise[..., None]
        rows = np.concatenate([z, np.zeros_like(z), states, actions], -1)
        values = [(z + self._network(name, rows))[..., 0] for name in ("critic_flow1", "critic_flow2")]
        if self.settings["clip_flow_returns"] == "true":
            horizon = 1 / (1 - float(self.settings["discount"]))
            low, high = (float(self.metadata[name]) * horizon for name in ("smallest_reward", "largest_reward"))
            values = [np.clip(value, low, high) for value in values]
        return self._best(actions, self._joined(values, "q_agg"))

    def _candidate_actions(self, s, noise):
        """N actions of the data's flow for each observation, and the observations as often."""
        states = np.repeat(s[:, None], self._candidates, 1)
        x = noise.reshape(len(s), self._candidates, self.action_size)
        steps = int(self.settings["flow_steps"])
        for i in range(steps):
            time = np.full((*x.shape[:2], 1), i / steps)
            x = x + self._network("actor_flow", np.concatenate([states, x, time], -1)) / steps
            if self.settings["clip_flow_actions"] == "true" or i == steps - 1:
                x = np.clip(x, -1, 1)
        return states, x

    def _joined(self, members, setting):
        return np.mean(members, 0) if self.settings[setting] == "mean" else np.min(members, 0)

    @staticmethod
    def _best(actions, values):
        return np.take_along_axis(actions, values.argmax(-1)[:, None, None], 1)[:, 0]

    def _network(self, name, x, member=None):
        """Hidden layers of dense, GELU and, where there is one, layer norm; then one dense layer."""

        def tensor(name):
            values = self._tensors[name]
            return values if member is None else values[member]

        layer = 0
        while True:
            x = x @ tensor(f"{name}/dense{layer}/weight") + tensor(f"{name}/dense{layer}/bias")
            if f"{name}/dense{layer + 1}/weight" not in self._tensors:
                return x
            x = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
            if f"{name}/norm{layer}/scale" in self._tensors:
                x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
                x = x * tensor(f"{name}/norm{layer}/scale") + tensor(f"{name}/norm{layer}/bias")
            layer += 1


class Run:
    """What a run has written so far.

    path         its directory
    settings     config.yaml, name -> text
    training     train.csv, a table
    evaluations  eval.csv, a table; the rows of the policy and of behaviour cloning
    judgements   fqe.csv, a table; the values that recorded episodes give them
    policy       the path of the best policy; None if there is none
    """

    @classmethod
    def load(cls, path):
        """The run in a directory. Raises OSError if there is none, and ValueError for files that are not a run's."""
        run = cls()
        run.path = os.fspath(path)
        configuration = os.path.join(path, "config.yaml")
        with open(configuration, encoding="utf-8") as file:
            try:
                run.settings = settings(file.read())
            except UnicodeDecodeError as error:
                raise ValueError(f"{configuration}: is not text in UTF-8: {error}") from error
        names = {"training": "train.csv", "evaluations": "eval.csv", "judgements": "fqe.csv"}
        for attribute, name in names.items():
            file = os.path.join(path, name)
            setattr(run, attribute, table(file) if os.path.exists(file) else {})
        best = os.path.join(path, "checkpoints", "best.safetensors")
        run.policy = best if os.path.exists(best) else None
        return run

    def __repr__(self):
        return f"Run({self.path!r})"


def runs(directory):
    """The runs directly inside a directory, such as a sweep's, by name."""
    paths = [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
    return [Run.load(path) for path in paths if os.path.exists(os.path.join(path, "config.yaml"))]


def table(path):
    """A CSV file of a run as columns, name -> array: float64 where all fields are numbers or empty (NaN), else text.

    pandas.DataFrame(table(path)) makes a data frame of it. A last line that is being written, and lines that are no
    rows, are left out.
    """
    with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
        lines = file.read().split("\n")[:-1]
    if not lines:
        return {}
    names = lines[0].split(",")
    rows = [fields for fields in (line.split(",") for line in lines[1:]) if len(fields) == len(names)]
    return {name: column([fields[i] for fields in rows]) for i, name in enumerate(names)}


def column(fields):
    try:
        return np.array([float(field) if field else math.nan for field in fields], np.float64)
    except ValueError:
        return np.array(fields, np.str_)


def is_whole(text, largest):
    """Whether a text is a whole number from 1 to a largest one."""
    return text.isascii() and text.isdigit() and len(text) <= 18 and 1 <= int(text) <= largest


def number(text):
    """The number that a text is; NaN for another text."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def settings(text):
    """The settings of a configuration file as fan-dist writes them: one on a line, in quotes where YAML needs them."""
    found = {}
    for line in text.splitlines():
        name, colon, value = line.partition(": ")
        if colon and not line.startswith("#"):
            quote = value[0] if len(value) > 1 and value[0] == value[-1] else ""
            if quote == "'":
                value = value[1:-1].replace("''", "'")
            elif quote == '"':
                value = re.sub(r"\\U([0-9a-f]{8})", lambda code: chr(int(code[1], 16)), value[1:-1])
            found[name] = value
    return found


def read_safetensors(path):
    """The metadata of a safetensors file and its F32 tensors, as float64."""
    with open(path, "rb") as file:
        data = file.read()
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, 100_000_000):
        raise ValueError(f"{path}: not a safetensors file")
    try:
        header = json.loads(data[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        check_digits = metadata.get("crc32")
        places = {name: (entry["dtype"], entry["shape"], *entry["data_offsets"]) for name, entry in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: not a safetensors file: its header is wrong") from error
    if check_digits is None:
        raise ValueError(f"{path}: has no checksum, as all files of fan-dist have")
    # The checksum is that of the file with zeros in place of the checksum.
    text = b'"crc32":"' + str(check_digits).encode() + b'"'
    zeroed = data[: 8 + length].replace(text, b'"crc32":"00000000"', 1) + data[8 + length :]
    if f"{zlib.crc32(zeroed):08x}" != check_digits:
        raise ValueError(f"{path}: is damaged: its checksum is wrong")
    if max((end for *_, end in places.values()), default=0) != len(data) - 8 - length:
        raise ValueError(f"{path}: is damaged: it does not end with its last tensor")
    tensors = {}
    for name, (kind, shape, start, end) in places.items():
        is_sound = kind == "F32" and all(isinstance(size, int) and size > 0 for size in shape)
        if not is_sound or not 0 <= start <= end <= len(data) - 8 - length or end - start != 4 * math.prod(shape):
            raise ValueError(f"{path}: tensor {name!r} is not whole, or not of F32")
        values = np.frombuffer(data, "<f4", (end - start) // 4, 8 + length + start)
        tensors[name] = values.reshape(shape).astype(np.float64)
    return metadata, tensors
