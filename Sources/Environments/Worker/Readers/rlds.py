"""Reader of TensorFlow datasets in RLDS's form. Part of the importing program, after rows.py."""

import math


class RLDS(Source):
    """A TensorFlow dataset of episodes in RLDS's form, read by tensorflow_datasets: the directory that has
    features.json.

    The last step of an episode is its final state. Observations that are dictionaries give their vectors; images and
    texts beside them are not read.
    """

    def __init__(self, name, action_range=None, **_):
        tfds = require_package("tensorflow_datasets", f"{name}: RLDS")
        path = name
        try:
            builder = tfds.builder_from_directory(path)
            steps = builder.info.features["steps"].feature
            observation, action = steps["observation"], steps["action"]
        except Exception as error:
            raise ValueError(
                f"{path}: is not an RLDS dataset, whose episodes have steps with observation and action: {error}"
            ) from error
        self.tfds, self.builder, self.path = tfds, builder, path
        if hasattr(action, "keys"):
            raise ValueError(
                f"{path}: actions are a dictionary ({', '.join(action.keys())[:200]}), of which only single arrays are read"
            )
        require_continuous(action.np_dtype, f"{path}: 'action'")
        entries = list(observation.items()) if hasattr(observation, "items") else [(None, observation)]
        vectors = [
            (key, entry)
            for key, entry in entries
            if entry.shape is not None
            and len(entry.shape) <= 1
            and None not in entry.shape
            and np.dtype(entry.np_dtype).kind in "biuf"
        ]
        images = [
            (key, entry)
            for key, entry in entries
            if entry.shape and len(entry.shape) == 3 and entry.np_dtype == np.uint8
        ]
        if not vectors and len(images) != 1:
            raise ValueError(
                f"{path}: observations have neither vectors nor a single image, but {', '.join(str(key) for key, _ in entries)[:200]}"
            )
        self.taken = vectors or images
        shape = (
            [sum(math.prod(entry.shape) for _, entry in vectors)]
            if vectors
            else layout(np.uint8, images[0][1].shape, f"{path}: images")[0]
        )
        unread = [key for key, _ in entries if key not in [taken for taken, _ in self.taken]]
        super().__init__(
            shape,
            math.prod(action.shape),
            {
                "source": builder.info.full_name,
                "files": path,
                "reward": "as recorded",
                "read by": versions("tensorflow-datasets"),
                **({"entries of observations that are not read": ", ".join(unread)[:300]} if unread else {}),
            },
        )
        if vectors and vectors[0][0] is not None:
            self.observation_order = [f"{key} ({math.prod(entry.shape)})" for key, entry in vectors]
        splits = list(builder.info.splits)
        validation = next((split for split in ("validation", "val") if split in splits), None)
        training = "train" if "train" in splits else next((split for split in splits if split != validation), None)
        if training is None:
            raise ValueError(f"{path}: has no split with episodes")
        self.training = self.rows(training, action_range)
        self.validation = self.rows(validation, action_range) if validation else None

    def rows(self, split, action_range):
        episodes = self.tfds.as_numpy(self.builder.as_dataset(split=split, shuffle_files=False))
        for number, episode in enumerate(episodes):
            steps = list(episode["steps"])
            if len(steps) < 2:
                continue
            place, n = f"{self.path}: {split}: episode {number}", len(steps)
            parts = [
                np.stack([step["observation"] if key is None else step["observation"][key] for step in steps])
                for key, _ in self.taken
            ]
            observations = (
                parts[0]
                if len(self.observation_shape) == 3
                else np.concatenate([part.reshape(n, -1) for part in parts], axis=1)
            )
            actions = np.stack([step["action"] for step in steps]).reshape(n, -1)
            rewards = np.array([step.get("reward", 0) for step in steps])
            terminals = np.arange(n) == n - 1
            chunk = {
                "observations": observations,
                "actions": actions,
                "rewards": rewards,
                "row": np.arange(n),
            }
            is_terminal = np.array([steps[-1].get("is_terminal", False)])
            for what, array in ("reward", rewards), ("is_terminal", is_terminal):
                require_numbers(array.dtype, f"{place}: {what}")
            check_numbers(chunk, ~terminals, at(place), action_range)
            masks = np.ones(n, np.float32)
            # What the last step says of the end of the task belongs to the transition that leads to it.
            masks[-2] = 1 - flags(is_terminal, lambda _: f"{place}: row {n - 1}, is_terminal")[0]
            yield observations, actions, rewards, masks, terminals
