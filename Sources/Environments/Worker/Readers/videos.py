"""Reader of the videos of LeRobot datasets. Part of the importing program, after rows.py."""

import glob
import re
import resource


class Videos:
    """The images of one camera of a LeRobot dataset, in MP4 files: in format 2 a file holds one episode, in format 3
    several, one after the other."""

    PATHS = {
        "v2": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "v3": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }
    CODECS = {"av1", "h264", "hevc", "mpeg4", "vp8", "vp9"}
    # Decoders pad images, so theirs may be a little larger than what is allowed.
    MOST_EPISODES, MOST_PIXELS, MOST_MEMORY = 1 << 20, 1 << 19, 3 << 30

    def __init__(self, name, info, version, key):
        self.name, self.key, self.shape = name, key, None
        self.av = require_package("av", f"{name}: videos")
        place = os.path.join(name, "meta", "info.json")
        self.template = str(info.get("video_path") or self.PATHS[version[:2]])
        self.rate, self.chunk = info.get("fps"), info.get("chunks_size", 1000)
        if type(self.rate) not in (int, float) or not 0 < self.rate < 1e6:
            raise ValueError(f"{place}: videos need fps, the number of frames a second")
        if type(self.chunk) is not int or self.chunk < 1:
            raise ValueError(f"{place}: chunks_size is not the number of episodes in a chunk")
        self.episodes = self.table() if version.startswith("v3") else None
        self.path = self.frames = self.episode = self.place = None
        self.opened = set()
        # A small file may claim so many frames that the list of them fills the memory.
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        if most == resource.RLIM_INFINITY or most > self.MOST_MEMORY:
            resource.setrlimit(resource.RLIMIT_DATA, (self.MOST_MEMORY, most))

    def table(self):
        """Of each episode of format 3 the numbers of its file, and the second at which it starts there."""
        pq = require_package("pyarrow.parquet", f"{self.name}: Parquet")
        ends = ("chunk_index", "file_index", "from_timestamp")
        names = ["episode_index", *(f"videos/{self.key}/{end}" for end in ends)]
        files = in_order(glob.glob(os.path.join(glob.escape(self.name), "meta", "episodes", "*", "*.parquet")))
        episodes = {}
        for path in files:
            require_file(path)
            with naming(path, f"does not tell where the episodes of {self.key} are"):
                file = pq.ParquetFile(path)
                require_columns(file.schema_arrow, path, names)
                for batch in file.iter_batches(CHUNK, columns=names):
                    columns = [batch.column(batch.schema.get_field_index(name)) for name in names]
                    self.add(episodes, np.array([column.to_numpy(zero_copy_only=False) for column in columns], float))
        return episodes

    def add(self, episodes, columns):
        """Adds rows of meta/episodes/, given column by column, to the places of episodes."""
        if len(episodes) + columns.shape[1] > self.MOST_EPISODES:
            raise ValueError("there are too many episodes")
        if not ((columns >= 0) & (columns < 1e9)).all() or (columns[:3] % 1).any():
            raise ValueError("numbers are missing or make no sense")
        for episode, *place in columns.T.tolist():
            if episode in episodes:
                raise ValueError(f"episode {episode:.0f} stands there twice")
            episodes[episode] = place

    def find(self, episode):
        """The path of the video with an episode, and the number of the episode's first image there."""
        numbers, first = {"episode_index": episode, "episode_chunk": episode // self.chunk}, 0
        if self.episodes is not None:
            if episode not in self.episodes:
                raise ValueError("meta/episodes/ does not have the episode")
            chunk, file, start = self.episodes[episode]
            numbers |= {"chunk_index": int(chunk), "file_index": int(file)}
            first = round(start * self.rate)

        def fill(match):
            field, width = match.groups()
            return self.key if field == "video_key" else str(numbers[field]).zfill(int(width or 0))

        try:
            path = re.sub(r"\{(\w+)(?::0?(\d)d)?\}", fill, self.template)
        except KeyError as error:
            raise ValueError(f"video_path in meta/info.json has {error}, which is not known") from error
        # The directory may hold links, which the Hugging Face cache consists of, but no path may lead out of it.
        if ".." in path.split("/") or os.path.isabs(path):
            raise ValueError(f"video_path {path[:200]!r} in meta/info.json leads out of the dataset")
        return os.path.join(self.name, path), first

    def images(self, places):
        """The images of the first rows that have these (episode, frame), as many as are read at a time."""
        images = []
        for episode, frame in places.tolist():
            if images and len(images) >= chunk_rows(images[0].nbytes):
                break
            path = self.name
            try:
                if episode != self.episode:
                    self.place, self.episode = self.find(int(episode)), episode
                path, first = self.place
                images.append(self.image(path, first + int(frame)))
            except Exception as error:
                if not isinstance(error, ValueError) or isinstance(error, self.av.FFmpegError):
                    reason = getattr(error, "strerror", None) or repr(error)
                    error = f"the video cannot be decoded ({reason}): download it again, or leave the episode out"
                raise ValueError(f"{path}: episode {episode:.0f}, frame {frame:.0f}: {error}") from None
        return np.stack(images)

    def image(self, path, number):
        """An image of a video. Each video is read once: images are asked for in the order in which they are stored."""
        is_new = path != self.path
        if path in self.opened if is_new else number < self.number:
            raise ValueError("comes after later ones: sort the tables by episode_index and frame_index")
        if is_new:
            self.frames, self.path, self.number = self.decoded(path), path, -1
            self.opened.add(path)
        while self.number < number:
            frame = next(self.frames, None)
            if frame is None:
                raise ValueError(
                    f"the video has only {self.number + 1} frames: download it again, or leave the episode out"
                )
            self.number, self.frame = self.number + 1, frame
            self.check_size(frame)
            # Images are counted, so they must be as far apart as their number says, and none may be missing.
            if frame.is_corrupt or frame.time is None or abs(frame.time * self.rate - self.number) > 0.5:
                raise ValueError(
                    f"the video is damaged at frame {self.number}, or has not {self.rate:g} frames a second: "
                    "download it again"
                )
        self.shape = (self.frame.height, self.frame.width, 3)
        return self.frame.to_ndarray(format="rgb24")

    def decoded(self, path):
        """Generates the frames of a video, one at a time."""
        # Only plain files are opened, so that nothing waits, and no other files that they name.
        if not os.path.isfile(path):
            raise ValueError("the file is missing: download the dataset with its videos, or take vectors")
        limit = {"max_pixels": str(self.MOST_PIXELS)}
        with open(path, "rb") as file, self.av.open(file, format="mp4", options=limit) as container:
            if not container.streams.video:
                raise ValueError("has no video")
            stream = container.streams.video[0]
            codec = stream.codec_context
            self.check_size(codec)
            if codec.codec.canonical_name not in self.CODECS:
                kinds = ", ".join(sorted(self.CODECS))
                raise ValueError(f"is a video of {codec.codec.canonical_name}; store it as one of {kinds}")
            # A stream whose frames are larger than it says is refused before there is memory for them.
            codec.options = limit
            codec.thread_count = 4
            yield from container.decode(stream)

    def check_size(self, frame):
        advice = f": store videos of one size, at most {(1 << 20) // 3} pixels"
        check_image((frame.height, frame.width, 3), self.shape, advice)
