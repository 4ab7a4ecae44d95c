"""Reader of OGBench datasets by the name of a task. Part of the importing program, after npz.py."""

import zipfile


class OGBench(Source):
    """An OGBench dataset of one task, for which the ogbench package computes rewards and masks."""

    def __init__(self, name, files=None, directory=None):
        if "singletask" not in name.split("-"):
            raise ValueError(f"{name} has no rewards: OGBench's tasks with rewards are called ...-singletask-...")
        # Nothing is rendered, so OpenGL is not needed.
        os.environ.setdefault("MUJOCO_GL", "disable")
        import ogbench

        # The task that sees numbers has the same goals and rewards as the one that sees images.
        environment = ogbench.make_env_and_datasets(name.removeprefix("visual-"), env_only=True)
        self.goal = Goal(environment)
        parts = name.split("-")
        place = parts.index("singletask")
        self.environment_name = "-".join(parts[: place - 1] + parts[place:])
        files = files or [self.find("-".join(parts[:place] + parts[-1:]), directory)]
        observation_shape = environment.observation_space.shape
        if name.startswith("visual-"):
            observation_shape = self.image_shape(files[0])
        super().__init__(observation_shape, environment.action_space.shape[0], {
            "source": name, "task": f"{name}, number {environment.unwrapped._reward_task_id}",
            "files": ", ".join(files), "reward": "r(s), from ogbench.relabel_utils",
            "environment reward": self.timing(environment), "read by": versions("ogbench", "gymnasium", "mujoco"),
        })
        self.training = self.rows(files)
        companion = files[0].removesuffix(".npz") + "-val.npz"
        if os.path.exists(companion):
            self.validation = self.rows([companion])

    @staticmethod
    def find(dataset, directory):
        """The path of a dataset's file, which is downloaded if it does not exist."""
        from ogbench import utils

        directory = os.path.expanduser(directory or utils.DEFAULT_DATASET_DIR)
        path = os.path.join(directory, f"{dataset}.npz")
        if not os.path.exists(path):
            try:
                utils.download_datasets([dataset], directory)
            except OSError as error:
                raise FileNotFoundError(
                    f"{path} is not there and cannot be downloaded ({error}); put the file there, or give its place with --from"
                ) from error
        return path

    @staticmethod
    def image_shape(path):
        with naming(path), zipfile.ZipFile(path) as archive:
            if "observations.npy" not in archive.namelist():
                raise ValueError(f"{path} has no 'observations'")
            images = NpyStream(archive, path, "observations")
        if images.dtype != np.uint8 or len(images.row_shape) != 3 or images.row_shape[2] != 3:
            raise ValueError(
                f"{path} has observations of {images.dtype}, shape {images.row_shape}; images are uint8 (height, width, 3)"
            )
        return images.row_shape

    @staticmethod
    def timing(environment):
        """Whether the environment's reward of a step is that of the state before it, r(s), or after it, r(s')."""
        # Versions before 1.2.0 have no such setting and reward the state after the step.
        return {"pre": "r(s)", "post": "r(s')"}[getattr(environment.unwrapped, "_success_timing", "post")]

    def rows(self, files):
        for path in files:
            for chunk in npz_chunks(path, ["observations", "actions", "terminals"], ["qpos", "button_states"]):
                if "qpos" not in chunk:
                    raise ValueError(f"{path} has no 'qpos', which the rewards of a task are computed from")
                for name, expected in ("observations", self.observation_shape), ("actions", (self.action_size,)):
                    if chunk[name].shape[1:] != expected:
                        raise ValueError(
                            f"{path} has {name} of shape {chunk[name].shape[1:]}, the task of shape {expected}"
                        )
                if len(self.observation_shape) == 3 and chunk["observations"].dtype != np.uint8:
                    raise ValueError(f"{path} has observations of {chunk['observations'].dtype}; images are uint8")
                self.goal.relabel(self.environment_name, chunk)
                yield tuple(chunk[key] for key in ("observations", "actions", "rewards", "masks", "terminals"))


class Goal:
    """A task's environment after a reset, with the goal for which relabel_dataset computes rewards.

    It stands in for the environment that relabel_dataset expects.
    """

    def __init__(self, environment):
        environment.reset()
        self.unwrapped = environment.unwrapped

    def reset(self):
        """Does nothing: the goal was set once and must stay the same for all chunks."""

    def relabel(self, environment_name, chunk):
        from ogbench.relabel_utils import relabel_dataset

        relabel_dataset(environment_name, self, chunk)
