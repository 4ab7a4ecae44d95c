"""An environment that shows what a worker makes of actions and observations."""

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


gymnasium.register("Probe-v0", Probe)
gymnasium.register("Ordered-v0", "probe_environment:Ordered")
gymnasium.register("Levels-v0", Levels)
gymnasium.register("Camera-v0", Camera)
gymnasium.register("GreyCamera-v0", GreyCamera)
gymnasium.register("TwoRewards-v0", TwoRewards)
gymnasium.register("WithImages-v0", WithImages)
gymnasium.register("WithButtons-v0", WithButtons)
