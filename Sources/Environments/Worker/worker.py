"""Serves Gymnasium environments to fan-dist; GymnasiumEnvironment.swift is the other end.

An observation has O numbers, f32, or is an image of O bytes (height, width, 3); an action has A numbers. The payloads of request and answer for each kind of frame:

    1 open    JSON {source, name, environments, video?, arguments?, limit?, wrapper?, own_units, scored?}
              JSON {observation_shape, action_size, observation_order, reference_returns, action_bounds}
    2 reset   count u32, count x (environment u32, seed u32)
              count x observation
    3 step    count u32, count x environment u32, count x A f32
              count x observation, count x reward f64, count x flags u8

`scored` is true where the user has given reference returns: the answer's reference_returns are null then, whatever the
environment says. The environments are closed at the end of the input.
"""

import random
from collections.abc import Mapping

OPEN, RESET, STEP = 1, 2, 3
# The flags of a step, combined with "or".
TERMINATED, TRUNCATED, KNOWS_SUCCESS, SUCCESS, UNCLEAR_SUCCESS = 1, 2, 4, 8, 16


def make(source, name, renders, arguments, limit):
    """The environment of the dataset or id `name`, with arguments by name and a limit of its steps, if there are any."""
    options = {"render_mode": "rgb_array"} if renders else {}
    options |= json.loads(arguments) if arguments else {}
    options |= {"max_episode_steps": limit} if limit else {}
    if source == "ogbench":
        import ogbench

        return ogbench.make_env_and_datasets(name, env_only=True, **options)
    if source == "minari":
        import minari

        return minari.load_dataset(name).recover_environment(eval_env=True, **options)
    import gymnasium

    return gymnasium.make(name, **options)


def wrapped(environment, wrapper):
    """The environment in the class MODULE:CLASS, after importing MODULE."""
    import importlib

    import gymnasium

    module, name = wrapper.split(":")
    environment = getattr(importlib.import_module(module), name)(environment)
    if not isinstance(environment, gymnasium.Env):
        raise TypeError(f"{wrapper} makes {type(environment)}, which is no gymnasium.Env")
    return environment


def reference_returns(source, name, environment):
    """The two returns that the benchmark scores 0 and 100; None if it defines no score."""
    if source == "minari":
        import minari

        metadata = minari.load_dataset(name).storage.metadata
        returns = [metadata.get("ref_min_score"), metadata.get("ref_max_score")]
    else:
        # D4RL's environments have these attributes.
        inner = environment.unwrapped
        returns = [getattr(inner, name, None) for name in ("ref_min_score", "ref_max_score")]
    if any(value is None for value in returns):
        return None
    try:
        low, high = (number(value, "a reference return") for value in returns)
        defines_score = np.isfinite([low, high]).all() and low != high
    except (TypeError, ValueError):
        defines_score = False
    if not defines_score:
        shown = " and ".join(repr(value)[:30] for value in returns)
        raise ValueError(
            f"ref_min_score and ref_max_score are {shown}, not two different finite numbers: "
            "give --reference-returns LOW,HIGH"
        )
    return [low, high]


def returned(result, function, *names):
    """What a function of an environment has returned, which must be as many values as there are names."""
    # Before a copy of this process adds to the video.
    end_copies()
    if not isinstance(result, (tuple, list)) or len(result) != len(names):
        many = isinstance(result, (tuple, list)) and len(result) != 1
        count = f"{len(result)} values" if many else "one value"
        raise TypeError(f"{function} returned {count}; Gymnasium's {function} returns {', '.join(names)}")
    return result


class Slot:
    """One environment, the bounds of its actions, and the video of its first episode if one is wanted."""

    def __init__(self, video=None, own_units=False):
        self.environment = self.recording = None
        self.video, self.own_units = video, own_units

    def make(self, source, name, arguments=None, limit=None, wrapper=None):
        """Makes the environment. The slot is there before it, so that one that cannot be used is closed, too."""
        self.environment = make(source, name, self.video is not None, arguments, limit)
        if wrapper:
            self.environment = wrapped(self.environment, wrapper)
        self.entries = boxes(self.environment.observation_space, "observations")
        if size(self.entries) < 1:
            raise ValueError("observations have no numbers: at least one is needed")
        self.observation_shape = shape(self.entries)
        self.read_bounds(self.environment.action_space)

    def read_bounds(self, space):
        import gymnasium

        if not isinstance(space, gymnasium.spaces.Box):
            raise TypeError(f"actions: only boxes are supported, not {space}")
        self.action_size = int(np.prod(space.shape))
        if self.action_size < 1:
            raise ValueError("actions have no numbers: at least one is needed")
        self.low, self.high = space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
        # Components whose bounds are infinite or too far apart, or are -1 and 1 already, are not scaled.
        with np.errstate(over="ignore"):
            is_bounded = np.isfinite(self.high - self.low)
        self.is_scaled = is_bounded & ((self.low != -1) | (self.high != 1))

    def bounds(self):
        """The bounds of each number of an action, null where there are none."""
        finite = lambda x: float(x) if np.isfinite(x) else None
        return [[finite(low), finite(high)] for low, high in zip(self.low, self.high)]

    def units(self, action):
        """An action in the environment's own units."""
        action = np.nan_to_num(action.astype(np.float64))
        if self.own_units:
            return np.clip(action, self.low, self.high)
        action = np.clip(action, -1, 1)
        with np.errstate(invalid="ignore", over="ignore"):
            scaled = self.low + (action + 1) / 2 * (self.high - self.low)
        # One bound alone may exclude some of [-1, 1].
        return np.clip(np.where(self.is_scaled, scaled, action), self.low, self.high)

    def reset(self, seed):
        # Environments draw from all of these generators: OGBench's mazes choose the start with NumPy's global
        # one and add noise sampled from the action space.
        random.seed(seed)
        np.random.seed(seed)
        self.environment.action_space.seed(seed)
        self.environment.unwrapped.action_space.seed(seed)
        observation, _ = returned(self.environment.reset(seed=seed), "reset", "observation", "info")
        if self.video:
            self.recording, self.video = Recording(self.environment, self.video), None
            self.recording.start()
        return flat(observation, self.entries)

    def step(self, action):
        # The actions of a policy that has diverged may be NaN.
        action = self.units(action)
        space = self.environment.action_space
        if np.issubdtype(space.dtype, np.integer):
            action = np.rint(action)
        result = self.environment.step(action.astype(space.dtype).reshape(space.shape))
        names = "observation", "reward", "terminated", "truncated", "info"
        observation, reward, terminated, truncated, info = returned(result, "step", *names)
        flags = TERMINATED * bool(terminated) | TRUNCATED * bool(truncated) | success_flags(info)
        if self.recording:
            self.recording.add()
            if terminated or truncated:
                self.recording = self.recording.finish()
        return flat(observation, self.entries), number(reward, "the reward"), flags

    def close(self):
        try:
            if self.recording:
                self.recording.forget()
        finally:
            if self.environment is not None:
                self.environment.close()


def success_flags(info):
    """What the info of a step says about success, under either of the names that environments give it."""
    if not isinstance(info, Mapping):
        raise TypeError(f"step returned {repr(info)[:80]} as info; Gymnasium's step returns a dictionary there")
    told = [number(info[name], name) for name in ("success", "is_success") if info.get(name) is not None]
    if any(success and not np.isnan(success) for success in told):
        return KNOWS_SUCCESS | SUCCESS
    return (KNOWS_SUCCESS if told else 0) | (UNCLEAR_SUCCESS if np.isnan(told).any() else 0)


def number(value, what):
    """A number, or an array of one element, as a float."""
    value = np.asarray(value)
    if value.size != 1 or value.dtype.kind not in NUMBERS:
        raise TypeError(f"{what} is {str(value)[:80]!r}, of shape {value.shape}: one number is needed")
    return float(value.reshape(-1)[0])


class Recording:
    """A video of one episode, which appears at its path when it is complete."""

    def __init__(self, environment, path):
        self.environment, self.path = environment, path
        folder, name = os.path.split(path)
        self.partial = os.path.join(folder, f".partial-{os.getpid()}-{name}")
        self.writer = None

    def start(self):
        import imageio

        rate = self.environment.metadata.get("render_fps", 30)
        # MP4 needs even widths and heights; GIF takes the duration of a frame in milliseconds.
        is_mp4 = self.path.endswith(".mp4")
        options = {"fps": rate, "macro_block_size": 2} if is_mp4 else {"duration": 1000 / rate}
        self.writer = imageio.get_writer(self.partial, **options)
        self.add()

    def add(self):
        try:
            frame = self.environment.render()
        except NotImplementedError:
            frame = None
        if frame is None:
            raise TypeError("the environment renders nothing")
        self.writer.append_data(np.asarray(frame))

    def finish(self):
        self.writer.close()
        os.replace(self.partial, self.path)

    def forget(self):
        try:
            # The writer may make the file only when it is closed.
            if self.writer:
                self.writer.close()
        finally:
            if os.path.exists(self.partial):
                os.unlink(self.partial)


class Server:
    def __init__(self):
        self.arguments = None
        self.slots = {}

    def slot(self, index):
        # An environment is made when it is first needed: some take seconds and 200 MB each.
        if index not in self.slots:
            if not 0 <= index < self.arguments["environments"]:
                raise IndexError(f"there is no environment {index}")
            video = self.arguments.get("video") if index == 0 else None
            made = {name: self.arguments.get(name) for name in ("source", "name", "arguments", "limit", "wrapper")}
            self.slots[index] = Slot(video, self.arguments.get("own_units"))
            self.slots[index].make(**made)
        return self.slots[index]

    def open(self, payload):
        self.arguments = json.loads(payload)
        # OpenGL is loaded only for videos and images, so that other environments also run where it is missing.
        if "video" in self.arguments or self.arguments["name"].startswith("visual-"):
            choose_renderer()
        os.environ.setdefault("MUJOCO_GL", "disable")
        first = self.slot(0)
        returns = None
        if not self.arguments.get("scored"):
            returns = reference_returns(self.arguments["source"], self.arguments["name"], first.environment)
        sizes = {"observation_shape": first.observation_shape, "action_size": first.action_size}
        order_and_bounds = {"observation_order": order(first.entries), "action_bounds": first.bounds()}
        return json.dumps({**sizes, **order_and_bounds, "reference_returns": returns}).encode()

    def reset(self, payload):
        pairs = np.frombuffer(payload, "<u4", offset=4).reshape(-1, 2)
        return b"".join(self.slot(int(index)).reset(int(seed)).tobytes() for index, seed in pairs)

    def step(self, payload):
        (count,) = struct.unpack_from("<I", payload)
        indices = np.frombuffer(payload, "<u4", count, offset=4)
        actions = np.frombuffer(payload, "<f4", offset=4 + 4 * count).reshape(count, -1)
        results = [self.slot(int(index)).step(action) for index, action in zip(indices, actions)]
        observations, rewards, flags = zip(*results)
        return np.concatenate(observations).tobytes() + np.array(rewards, "<f8").tobytes() + bytes(flags)

    def close(self):
        """Closes the environments, as many of them as can be."""
        for index, slot in self.slots.items():
            try:
                slot.close()
            except Exception as error:
                print(f"environment {index} was not closed: {type(error).__name__}: {error}", file=sys.stderr)


server = Server()
serve({OPEN: server.open, RESET: server.reset, STEP: server.step}, server.close)
