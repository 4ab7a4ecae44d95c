"""An environment in which things go wrong when a test wants them to: files in the directory FAULTS say what."""

import os
import signal
import time

import gymnasium
import numpy as np
from gymnasium.spaces import Box


def wanted(fault):
    return os.path.exists(os.path.join(os.environ["FAULTS"], fault))


class Point(gymnasium.Env):
    """A point in the plane that actions move; an episode lasts 10 steps."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = Box(-np.inf, np.inf, (2,))
    action_space = Box(-1, 1, (2,))

    def __init__(self, render_mode=None, stride=0.1):
        self.render_mode, self.stride = render_mode, stride
        while wanted("open slowly"):
            open(os.path.join(os.environ["FAULTS"], "opening"), "w").close()
            time.sleep(0.01)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = self.np_random.uniform(-1, 1, 2), 0
        return self.place.astype(np.float32), {}

    def step(self, action):
        while wanted("wait"):
            time.sleep(0.01)
        if wanted("kill once"):
            os.unlink(os.path.join(os.environ["FAULTS"], "kill once"))
            os.kill(os.getpid(), signal.SIGKILL)
        if wanted("raise"):
            raise RuntimeError("the simulation is unstable")
        self.steps += 1
        self.place = self.place + self.stride * action
        reward = -float(np.abs(self.place).sum())
        info = {"success": reward > -1}
        if wanted("solve once"):
            info = {"success": self.steps == 5}
        if wanted("say nothing"):
            info = {"success": False} if self.steps < 5 else {"success": np.nan} if self.steps < 10 else {}
        return self.place.astype(np.float32), reward, False, self.steps == 10, info

    def render(self):
        frame = np.zeros((48, 64, 3), np.uint8)
        x, y = (np.clip(20 * self.place, -20, 20) + [32, 24]).astype(int)
        frame[y - 2 : y + 2, x - 2 : x + 2] = 255
        # A clock, so that no frame is like another.
        frame[0, : self.steps] = 255
        return frame


class Constant(gymnasium.Wrapper):
    """Gives the stride of the point as the reward of every step."""

    def step(self, action):
        place, _, *rest = self.env.step(action)
        return place, self.unwrapped.stride, *rest


class Invisible(gymnasium.Wrapper):
    """Renders nothing, as gymnasium.Env does by itself."""

    def render(self):
        raise NotImplementedError


class Scored(Point):
    """Names its reference returns as D4RL's environments do."""

    ref_min_score, ref_max_score = -100, 100


def no_wrapper(environment):
    return None


gymnasium.register("Scored-v0", Scored)
gymnasium.register("Point-v0", Point)
