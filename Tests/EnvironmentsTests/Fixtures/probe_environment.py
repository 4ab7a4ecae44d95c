"""An environment that shows what a worker makes of actions and observations."""

import os

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict


class Probe(gymnasium.Env):
    """Observes the action it was given: its third component first, by the order of the keys."""

    observation_space = Dict({"b": Box(-np.inf, np.inf, (2,)), "a": Box(-np.inf, np.inf, (1,))})
    action_space = Box(np.array([-2, 0, -np.inf], np.float32), np.array([2, 10, np.inf], np.float32))

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        print("a library that prints")
        self.steps = 0
        return self.observation(np.zeros(3)), {}

    def observation(self, action):
        return {"b": action[:2], "a": action[2:]}

    def step(self, action):
        print("a library that prints" * 1000)
        self.steps += 1
        info = {"is_success": self.steps == 2} if self.steps > 1 else {}
        return self.observation(action), float(self.steps), self.steps == 2, self.steps == 3, info


class Ordered(Probe):
    """Has its entries in an order of its own, as Gymnasium's FlattenObservation has them, too."""

    observation_space = Dict([("b", Box(-np.inf, np.inf, (2,))), ("a", Dict([("z", Box(-np.inf, np.inf, (1,)))]))])

    def observation(self, action):
        return {"a": {"z": action[2:]}, "b": action[:2]}


class Levels(Probe):
    """Has whole numbers as actions; tells with arrays of one element, and with NaN, what happened."""

    action_space = Box(np.array([0, -3, -1]), np.array([4, 3, 1]), dtype=np.int64)

    def step(self, action):
        assert action.dtype == np.int64
        observation, reward, terminated, truncated, _ = super().step(action)
        success = np.array([1.0, np.nan, True][self.steps - 1 : self.steps])
        return observation, np.array([[reward]]), terminated, truncated, {"success": success}


class TwoRewards(Probe):
    def step(self, action):
        return self.observation(action), np.zeros(2), False, False, {}


class Camera(Probe):
    """Has images as observations, whose bytes tell pixel and step."""

    observation_space = Box(0, 255, (2, 3, 3), np.uint8)

    def observation(self, action):
        return (np.arange(18, dtype=np.uint8) + 200 * self.steps).reshape(2, 3, 3)


class GreyCamera(Camera):
    observation_space = Box(0, 255, (2, 9, 1), np.uint8)


class WithImages(Probe):
    observation_space = gymnasium.spaces.Discrete(3)


class WithButtons(Probe):
    action_space = gymnasium.spaces.Discrete(2)


class HalfOpen(Probe):
    """Has actions with one bound, and with two that are further apart than the largest number."""

    action_space = Box(np.array([0, -np.inf, -1.7e308]), np.array([np.inf, -0.5, 1.7e308]), dtype=np.float64)


class TwoNames(Probe):
    """Tells under both names whether the task is solved."""

    told = [(None, True), (False, True), (True, False), (np.nan, True), (False, np.nan), (False, None), (None, None)]

    def step(self, action):
        success, is_success = self.told[self.steps]
        observation, reward, *_ = super().step(action)
        return observation, reward, False, False, {"success": success, "is_success": is_success}


class Columns(Probe):
    """Gives a vector as a column, as Gymnasium's classic environments do in some versions."""

    observation_space = Box(-np.inf, np.inf, (3,))

    def observation(self, action):
        return action.reshape(3, 1)


class Transposed(Columns):
    observation_space = Box(-np.inf, np.inf, (3, 2))

    def observation(self, action):
        return np.zeros((2, 3))


class TurnedCamera(Camera):
    def observation(self, action):
        return super().observation(action).transpose(1, 0, 2)


class FlatCamera(Camera):
    def observation(self, action):
        return super().observation(action).ravel()


class Complex(Columns):
    def observation(self, action):
        return action + 1j


class Texts(Columns):
    def observation(self, action):
        return np.array(["1", "2", "3"])


class ComplexReward(Probe):
    def step(self, action):
        return self.observation(action), 1 + 2j, False, False, {}


class NoEntries(Probe):
    observation_space = Dict({})


class NoObservation(Probe):
    observation_space = Box(-1, 1, (0,))


class NoAction(Probe):
    action_space = Box(-1, 1, (0,))


class OldReset(Probe):
    """Has a reset as gym had it before Gymnasium."""

    def reset(self, seed=None, options=None):
        return super().reset(seed)[0]


class OldStep(Probe):
    """Has a step as gym had it before Gymnasium."""

    def step(self, action):
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, info


class NoInfo(Probe):
    def step(self, action):
        return *super().step(action)[:4], None


class WordsForScores(Probe):
    ref_min_score, ref_max_score = "low", "high"


class OneScore(Probe):
    ref_min_score = ref_max_score = 5


class Forking(Probe):
    """Makes copies of its process, which all come back."""

    def reset(self, seed=None, options=None):
        os.fork()
        return super().reset(seed)

    def step(self, action):
        os.fork()
        return super().step(action)


class Closing(Probe):
    """Writes down that it was closed in the directory CLOSED; its second step fails."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def step(self, action):
        if self.steps == 1:
            raise RuntimeError("the simulation is unstable")
        return super().step(action)

    def render(self):
        return np.zeros((16, 16, 3), np.uint8)

    def close(self):
        open(os.path.join(os.environ["CLOSED"], f"{id(self)}"), "w").close()
        raise RuntimeError("closed, but not well")


gymnasium.register("Probe-v0", Probe)
gymnasium.register("Ordered-v0", "probe_environment:Ordered")
gymnasium.register("Levels-v0", Levels)
gymnasium.register("Camera-v0", Camera)
gymnasium.register("GreyCamera-v0", GreyCamera)
gymnasium.register("TwoRewards-v0", TwoRewards)
gymnasium.register("WithImages-v0", WithImages)
gymnasium.register("WithButtons-v0", WithButtons)
# Gymnasium itself would complain about some of these.
for unchecked in (
    HalfOpen, TwoNames, Columns, Transposed, TurnedCamera, FlatCamera, Complex, Texts, ComplexReward, NoEntries,
    NoObservation, NoAction, OldReset, OldStep, NoInfo, WordsForScores, OneScore, Forking, Closing,
):
    gymnasium.register(f"{unchecked.__name__}-v0", unchecked, disable_env_checker=True)
