"""Reader of TensorFlow datasets in RLDS's form. Part of the importing program, after rows.py."""

import math


class RLDS(Source):
    """A TensorFlow dataset of episodes in RLDS's form, read by tensorflow_datasets: the directory that has
    features.json.

    The last step of an episode is its final state. Episodes that say that they are invalid are left out. Observations
    that are dictionaries give their vectors; images and texts beside them are not read.
    """

    def __init__(self, name, action_range=None, last_step=False, **_):
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
        # The shape of a dictionary in the dictionary is one, too.
        vectors = [
            (key, entry)
            for key, entry in entries
            if isinstance(entry.shape, tuple)
            and len(entry.shape) <= 1
            and None not in entry.shape
            and np.dtype(entry.np_dtype).kind in "biuf"
        ]
        images = [
            (key, entry)
            for key, entry in entries
            if isinstance(entry.shape, tuple) and len(entry.shape) == 3 and entry.np_dtype == np.uint8
        ]
        if not vectors and len(images) != 1:
            raise ValueError(
                f"{path}: observations have neither vectors nor a single image, but {', '.join(str(key) for key, _ in entries)[:200]}"
            )
        if "reward" not in steps and not last_step:
            raise ValueError(
                f"{path}: steps have no reward: give --reward-rule last-step, for demonstrations that each solve the task"
            )
        splits = list(builder.info.splits)
        validation = next((split for split in ("validation", "val") if split in splits), None)
        training = "train" if "train" in splits else next((split for split in splits if split != validation), None)
        if training is None:
            raise ValueError(f"{path}: has no split with episodes")
        self.taken = vectors or images
        if vectors:
            shape = [sum(math.prod(entry.shape) for _, entry in vectors)]
        else:
            shape, self.moves = layout(np.uint8, self.image_shape(training), f"{path}: images")
        unread = [key for key, _ in entries if key not in [taken for taken, _ in self.taken]]
        others = [split for split in splits if split not in (training, validation)]
        super().__init__(
            shape,
            math.prod(action.shape),
            {
                "source": builder.info.full_name,
                "files": path,
                "reward": "as recorded" if "reward" in steps else "none recorded",
                "read by": versions("tensorflow-datasets"),
                **({"splits that are not read": ", ".join(others)[:300]} if others else {}),
                **({"entries of observations that are not read": ", ".join(unread)[:300]} if unread else {}),
            },
        )
        if vectors and vectors[0][0] is not None:
            self.observation_order = [f"{key} ({math.prod(entry.shape)})" for key, entry in vectors]
        self.training = self.rows(training, action_range, last_step)
        self.validation = self.rows(validation, action_range, last_step) if validation else None

    def episodes(self, split):
        return self.tfds.as_numpy(self.builder.as_dataset(split=split, shuffle_files=False))

    def image_shape(self, split):
        """The shape of the images, which the first one tells where the description leaves it open."""
        ((key, entry),) = self.taken
        if None not in entry.shape:
            return entry.shape
        for episode in self.episodes(split):
            for step in episode["steps"]:
                return np.shape(step["observation"] if key is None else step["observation"][key])
        raise ValueError(f"{self.path}: has no images")

    def rows(self, split, action_range, last_step):
        lost = 0
        for number, episode in enumerate(self.episodes(split)):
            steps = list(episode["steps"])
            if len(steps) < 2 or episode.get("invalid", False):
                continue
            place, n = f"{self.path}: {split}: episode {number}", len(steps)
            parts = [
                np.stack([step["observation"] if key is None else step["observation"][key] for step in steps])
                for key, _ in self.taken
            ]
            if len(self.observation_shape) == 3:
                observations = np.moveaxis(parts[0], 1, 3) if self.moves else parts[0]
                if observations.shape[1:] != self.observation_shape:
                    raise ValueError(f"{place}: has images of shape {parts[0].shape[1:]}, not as the first one")
            else:
                observations = np.concatenate([part.reshape(n, -1) for part in parts], axis=1)
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
            lost += not last_step and rewards[-1] != 0
            yield observations, actions, rewards, masks, terminals
        if lost:
            notes.append(
                f"{split}: {lost} episodes have a reward in their last step, which is a final state in RLDS and not read; for demonstrations that each solve the task, --reward-rule last-step gives it to the step before"
            )
