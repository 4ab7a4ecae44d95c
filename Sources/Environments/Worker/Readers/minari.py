"""Reader of Minari datasets. Part of the importing program, after hdf5.py."""

import math


class Minari(Source):
    """A Minari dataset by its name, or a directory that holds one."""

    clips_actions = True

    OTHER_FORMAT = "{}: data_format is {:.80}, and only hdf5 is read: make the dataset with data_format='hdf5'"

    def __init__(self, name, directory=None, path=None, action_range=None, **_):
        if directory:
            os.environ["MINARI_DATASETS_PATH"] = os.path.expanduser(directory)
        self.name, self.is_file = name, path is not None
        self.dataset = self.stored(path) if path else self.named(name)
        folder = str(self.dataset.spec.data_path)
        if (kind := self.dataset.storage.FORMAT) != "hdf5":
            raise ValueError(self.OTHER_FORMAT.format(folder, kind))
        self.path = os.path.join(folder, "main_data.hdf5")
        self.file = hdf5(self.path)
        if not hasattr(self.dataset.action_space, "low"):
            raise ValueError(
                f"{name}: actions are {self.dataset.action_space}: only one box of numbers can be learned here; discrete actions cannot")
        try:
            actions = boxes(self.dataset.action_space, "actions")
            self.entries = boxes(self.observation_space(), "observations")
        except TypeError as error:
            raise ValueError(f"{name}: {error}") from error
        if any(box.dtype == np.uint8 for _, box in self.entries):
            raise ValueError(f"{name} has images for observations, which are not supported")
        self.observation_order = order(self.entries)
        super().__init__([size(self.entries)], size(actions), {
            "source": os.path.basename(os.path.abspath(path)) if path else f"minari:{name}",
            "files": folder, "reward": "as recorded", "read by": versions("minari", "h5py"),
        })
        bounds = zip(actions[0][1].low.ravel().tolist(), actions[0][1].high.ravel().tolist())
        largest = np.finfo(np.float32).max
        bounds = [[low, high] if max(abs(low), abs(high)) < largest else None for low, high in bounds]
        # Numbers without bounds are not scaled. The environment clips the others alone.
        self.action_range = [pair or [-1, 1] for pair in bounds]
        given = action_range or [[-np.inf, np.inf]]
        if len(given) == 1:
            given = given * self.action_size
        self.allowed = [[-np.inf, np.inf] if pair else wanted for pair, wanted in zip(bounds, given)]
        # As the published code has it for D4RL's own data.
        if str(self.dataset.spec.dataset_id).startswith("D4RL/antmaze/"):
            self.reward_rule = "antmaze"
        self.training = self.rows()

    @classmethod
    def stored(cls, path):
        """The dataset in a directory that may come from anywhere: nothing that it names is imported."""
        import minari

        folder = os.path.join(path, "data") if os.path.isdir(os.path.join(path, "data")) else path
        place = os.path.join(folder, "metadata.json")
        what = "does not describe a Minari dataset"
        with naming(place, what):
            metadata = read_json(place)
            missing = {"action_space", "observation_space"} - set(metadata)
        if missing:
            raise ValueError(f"{place}: has no '{min(missing)}', so it does not say what its data are")
        if (kind := metadata.get("data_format")) != "hdf5":
            raise ValueError(cls.OTHER_FORMAT.format(place, str(kind)))
        episodes = sum(name.startswith("episode_") for name in hdf5(os.path.join(folder, "main_data.hdf5")))
        if (said := metadata.get("total_episodes")) != episodes:
            raise ValueError(
                f"{place}: total_episodes is {str(said)[:80]}, and main_data.hdf5 has {episodes}: "
                "download the dataset again, or correct it"
            )
        with naming(place, what):
            return minari.MinariDataset(folder)

    @staticmethod
    def named(name):
        import minari

        try:
            return minari.load_dataset(name)
        except (OSError, ValueError) as missing:
            try:
                return minari.load_dataset(name, download=True)
            except Exception as error:
                raise FileNotFoundError(
                    f"{missing}, and it cannot be downloaded ({type(error).__name__}: {error}); give its directory with --from"
                ) from error

    def observation_space(self):
        """The space of the data, with the entries of a dictionary in the order of the environment's space.

        The file that describes a dataset keeps the entries, but reading it sorts them.
        """
        import gymnasium

        space = self.dataset.observation_space
        if not isinstance(space, gymnasium.spaces.Dict) or self.is_file:
            return space
        try:
            environment = self.dataset.recover_environment(eval_env=True).observation_space
        except Exception as error:
            notes.append(f"entries of observations in the order of their keys, as there is no environment: {error}")
            return space
        return environment if environment == space else space

    def rows(self):
        for episode in self.dataset.episode_indices:
            place = f"{self.path}: episode {episode}"
            array = lambda *names: hdf5_array(self.file, self.path, "/".join((f"episode_{episode}", *names)))
            columns = {name: array(name) for name in ("actions", "rewards", "terminations")}
            require_continuous(columns["actions"].dtype, columns["actions"].place)
            observations = [array("observations", *path) for path, _ in self.entries]
            steps = len(columns["rewards"])
            for name, column in columns.items():
                width = self.action_size if name == "actions" else 1
                if len(column) != steps or math.prod(column.shape) != steps * width:
                    raise ValueError(
                        f"{place}: {name} have shape {column.shape}, which is not {steps} steps of {width}; there are {steps} rewards"
                    )
            for part, (_, box) in zip(observations, self.entries):
                if len(part) != steps + 1:
                    raise ValueError(
                        f"{place}: {len(part)} observations for {steps} steps; there must be one more than steps, the final state"
                    )
                if math.prod(part.shape[1:]) != math.prod(box.shape):
                    raise ValueError(f"{part.place} has shape {part.shape}, and its space {box.shape}")
            if steps:
                yield from self.episode(place, steps, observations, columns)

    def episode(self, place, steps, observations, columns):
        """Generates the rows of an episode, whose arrays are in the file."""
        size, spot = chunk_rows(4 * (sum(self.observation_shape) + self.action_size)), at(place, "step")
        for start in range(0, steps + 1, size):
            row = np.arange(start, min(steps + 1, start + size))
            # The row of the final state repeats the last step.
            first, last = min(start, steps - 1), min(row[-1], steps - 1)
            chunk = {
                name: column[first : last + 1][np.minimum(row, last) - first].reshape(len(row), -1)
                for name, column in columns.items()
            }
            parts = [part[start : row[-1] + 1].reshape(len(row), -1) for part in observations]
            chunk |= {"observations": np.concatenate(parts, axis=1), "row": row}
            check_numbers(chunk, row < steps, spot, self.allowed)
            ended = flags(chunk["terminations"].reshape(-1), lambda i: f"{spot(chunk, i)}, terminations")
            masks = 1 - ended.astype(np.float32)
            yield chunk["observations"], chunk["actions"], chunk["rewards"].reshape(-1), masks, row == steps
