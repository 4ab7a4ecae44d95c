import Foundation
import TestSupport
import Testing

/// Whether the Python of the tests can write and read Parquet.
private let hasPyArrow =
  pythonWithPackages.map { (try? run($0, ["-c", "import pyarrow.parquet"]))?.code == 0 } ?? false
/// Whether it can also write and read videos.
private let hasPyAV =
  pythonWithPackages.map { (try? run($0, ["-c", "import pyarrow.parquet, av"]))?.code == 0 } ?? false
/// Whether it has the reader of RLDS.
private let hasTFDS =
  pythonWithPackages.map {
    (try? run($0, ["-c", "import tensorflow_datasets, tensorflow"], timeout: 120))?.code == 0
  } ?? false

/// `fan-dist dataset import` of the files that people have.
@Suite(.serialized, .enabled(if: pythonWithPackages != nil, "\(noPythonWithPackages)"))
struct OwnDataTests {
  let folder = TemporaryDirectory()
  var out: String { folder.file("out") }

  private func dataset(_ source: String, _ options: String...) throws -> CommandResult {
    try dataset(source, options)
  }

  private func dataset(_ source: String, _ options: [String]) throws -> CommandResult {
    try run(
      built("fan-dist"),
      ["dataset", "import", folder.file(source), "--out", out, "--python", pythonWithPackages!] + options,
      timeout: 120)
  }

  private func require(_ result: CommandResult, location: SourceLocation = #_sourceLocation) throws {
    try #require(result.code == 0 && result.errors == "", "\(result)", sourceLocation: location)
  }

  /// Requires that an import gives these rows, in place of what was imported before.
  @discardableResult
  private func expectImport(
    _ source: String, _ options: [String] = [], of expected: String,
    location: SourceLocation = #_sourceLocation
  ) throws -> CommandResult {
    try? FileManager.default.removeItem(atPath: out)
    let result = try dataset(source, options)
    try require(result, location: location)
    try python(Self.steps + expected, location: location)
    return result
  }

  /// Requires that an import fails so, and that nothing is left of it.
  private func expectRefusal(
    _ source: String, _ options: [String] = [], code: Int32 = 65, saying parts: [String],
    location: SourceLocation = #_sourceLocation
  ) throws {
    expectFailure(try dataset(source, options), code, parts, location: location)
    for path in [out, out + ".partial"] {
      #expect(!FileManager.default.fileExists(atPath: path), "\(source)", sourceLocation: location)
    }
  }

  /// Runs a Python program that has `np`, the folder of the test as `folder`, and `check`, which compares the imported
  /// rows: their transitions with `s`, `a`, `r`, `mask` and `after`, and the lengths of the episodes.
  private func python(_ program: String, location: SourceLocation = #_sourceLocation) throws {
    let start = """
      import sys, numpy as np
      folder = sys.argv[1] + "/"
      def check(s, a, r, mask, after, lengths):
          rows = {k: np.load(f"{folder}out/{k}.npy") for k in ("observations", "actions", "rewards", "masks", "terminals")}
          starts = np.flatnonzero(~rows["terminals"])
          counts = [len(part) for part in np.split(starts, np.flatnonzero(np.diff(starts) > 1) + 1)]
          assert counts == list(lengths), counts
          f4 = lambda x: np.asarray(x).astype(np.float32)
          limit = np.float32(1 - 1e-5)
          kind = rows["observations"].dtype
          assert np.array_equal(rows["observations"][starts], np.asarray(s).astype(kind))
          wanted = np.asarray(mask) != 0
          assert np.array_equal(rows["observations"][starts + 1][wanted], np.asarray(after).astype(kind)[wanted])
          assert np.array_equal(rows["actions"][starts], np.clip(f4(a), -limit, limit))
          assert np.array_equal(rows["rewards"][starts], f4(r))
          assert np.array_equal(rows["masks"][starts], f4(mask))

      """
    let result = try run(pythonWithPackages!, ["-W", "ignore", "-c", start + program, folder.path])
    try #require(result.code == 0, "\(result)", sourceLocation: location)
  }

  /// 40 steps of four episodes: the first is cut off, the others' tasks end.
  private static let steps = """
    random = np.random.default_rng(0)
    n = 40
    s, a, r = random.normal(size=(n, 3)).round(3), random.uniform(-1, 1, (n, 2)).round(3), random.normal(size=n).round(3)
    terminal = np.isin(np.arange(n), [19, 29, 39])
    timeout = np.arange(n) == 9

    """
  /// What becomes of them without next states: the cut-off episode loses its last step.
  private static let expected = """
    kept = np.flatnonzero(~timeout)
    check(s[kept], a[kept], r[kept], 1 - terminal[kept], np.roll(s, -1, 0)[kept], [9, 10, 10, 10])
    """
  /// What becomes of them where each step is a transition, and the next state of the cut-off one is 7.
  private static let expectedWithNext = """
    after = np.roll(s, -1, 0)
    after[9] = 7
    check(s, a, r, 1 - terminal, after, [10] * 4)
    """

  // MARK: Tables

  private static let columns = [
    "--columns", "observation=x*,action=u,v,reward=r,terminal=done,timeout=cut",
  ]

  @Test func csv() throws {
    try python(
      Self.steps + """
        with open(folder + "data.csv", "w") as file:
            print("time,x0,u,v,r,x1,x2,done,cut", file=file)
            for i in range(n):
                flags = ["false", "true"][int(terminal[i])], int(timeout[i])
                print(i, s[i, 0], *a[i], r[i], *s[i, 1:], *flags, sep=",", file=file)
        """)
    let result = try expectImport("data.csv", Self.columns, of: Self.expected)
    #expect(result.output.contains("43 rows, 39 transitions in 4 episodes of 9 to 10"), "\(result)")
    #expect(result.output.contains("columns that are not used: time"), "\(result)")
  }

  /// Quotes may hold line breaks, also in names, and stand behind a space.
  @Test func quotesInCSV() throws {
    try python(
      Self.steps + """
        with open(folder + "data.csv", "w") as file:
            print('"x0\\nmm", "x1", "x2", "u", v, "r", done, cut', file=file)
            for i in range(n):
                cells = map(str, [*s[i], *a[i], r[i], terminal[i], timeout[i]])
                print(*(f'"{cell}"' for cell in cells), sep=", ", file=file)
        """)
    try expectImport("data.csv", Self.columns, of: Self.expected)
  }

  @Test func wrongCSVIsNamedByLineAndColumn() throws {
    let header = "x0,x1,u,v,r,done,cut"
    let good = (0..<20).map { "\($0).5,1,0.\($0),-0.5,1,\($0 % 10 == 9 ? 1 : 0),0" }
    func write(_ name: String, line: Int, _ text: String) throws {
      var lines = [header] + good
      lines[line - 1] = text
      _ = try folder.write(lines.joined(separator: "\n") + "\n", to: name)
    }
    for (text, parts) in [
      ("3,4,0.1,0.2,1,0", ["line 5 has 6 fields, the first line 7"]),
      ("3,four,0.1,0.2,1,0,0", ["line 5, column 'x1': is 'four', not a number"]),
      ("3,,0.1,0.2,1,0,0", ["line 5, column 'x1': is empty"]),
      ("3,4,0.1,0.2,inf,0,0", ["line 5, column 'r': is inf"]),
      ("3,1e39,0.1,0.2,1,0,0", ["line 5, column 'x1': is 1e+39"]),
      ("3,4,0.1,2.5,1,0,0", ["line 5, column 'v': is 2.5, outside -1 to 1", "--action-range"]),
      ("3,4,0.1,0.2,1,nan,0", ["line 5, column 'done': is nan; a flag is 0 or 1, or false or true"]),
      ("3,4,0.1,0.2,1,0,0.3", ["line 5, column 'cut': is 0.3; a flag"]),
      ("3,4,0.1,0.2,1,-1,0", ["line 5, column 'done': is -1.0; a flag"]),
      ("1_0,4,0.1,0.2,1,0,0", ["line 5, column 'x0': is '1_0', not a number"]),
    ] {
      try write("data.csv", line: 5, text)
      try expectRefusal("data.csv", Self.columns, saying: parts + ["data.csv"])
    }
    try write("data.csv", line: 5, good[3])
    try expectRefusal("data.csv", saying: ["--columns observation=", "there are x0, x1, u"])
    try expectRefusal(
      "data.csv", ["--columns", "observation=x0,action=w,reward=r,terminal=done"],
      saying: ["has no column 'w'"])
    try expectRefusal(
      "data.csv", ["--columns", "observation=x0,action=u,reward=r"],
      saying: ["no column says where episodes end"])
    for (columns, part) in [
      ("state=x0", "'state' is not what a column can be: observation, action"),
      ("observation=x0,observation=x1", "observation is given twice"),
      ("x0,action=u", "does not begin with a kind"),
      ("observation=x0,,x1", "observation has a column without a name"),
    ] {
      try expectRefusal("data.csv", ["--columns", columns], code: 64, saying: ["--columns", part])
    }
    try expectRefusal(
      "data.csv", ["--columns", "observation=x0,action=done,reward=r,terminal=done"],
      saying: ["column 'done' holds int64: discrete actions cannot be learned"])
    for (names, part) in [
      (
        "observation=*,action=u,v,reward=r,terminal=done",
        "column 'u' is taken twice, as observation and action"
      ),
      ("observation=x0,x*,action=u,v,reward=r,terminal=done", "column 'x0' is taken twice"),
      ("observation=x0,action=u,v,reward=r,terminal=done,timeout=done", "as terminal and timeout"),
    ] {
      try expectRefusal("data.csv", ["--columns", names], saying: [part])
    }
    try write("data.csv", line: 5, "3,\"4,5\",0.1,0.2,1,0,0")
    try expectRefusal("data.csv", Self.columns, saying: ["column 'x1': is '4,5'", "with a point"])
    for (name, start, part) in [
      ("packed.csv.gz", [0x1f, 0x8b, 8], "is compressed: unpack it with gunzip"),
      ("wide.csv", [0xff, 0xfe, 0x78, 0], "is UTF-16"), ("empty.csv", [], "is empty"),
    ] as [(String, [UInt8], String)] {
      try Data(start).write(to: URL(fileURLWithPath: folder.file(name)))
      try expectRefusal(name, Self.columns, saying: [part])
    }
    _ = try folder.write("hello\n", to: "text.txt")
    try expectRefusal("text.txt", saying: ["is no file of a kind that is known"])
    _ = try folder.write(String(repeating: "x", count: 3 << 20), to: "long.txt")
    try expectRefusal("long.txt", saying: ["is no file of a kind that is known"])
  }

  /// What becomes of the steps where each episode's last one is its final state.
  private static let cutOff = """
    kept = np.flatnonzero(np.arange(n) % 10 != 9)
    check(s[kept], a[kept], r[kept], np.ones(36), s[kept + 1], [9] * 4)
    """

  /// Another number is another episode, however little it differs; only `*` stands for other characters in names.
  @Test func episodesOfCSV() throws {
    try python(
      Self.steps + """
        def write(name, ids, actions=a):
            with open(f"{folder}{name}.csv", "w") as file:
                print("o[0],o[1],o[2],u,v,r,episode,twice,twice", file=file)
                for i in range(len(ids)):
                    print(*s[i % n], *actions[i % n], r[i % n], ids[i], 1, 2, sep=",", file=file)
        write("large", np.repeat([2**53, 2**53 + 1, 2**62, 2**62 + 1], 10))
        write("small", np.repeat(["0.1", "0.6", "inf", "1e300"], 10))
        write("texts", np.repeat(["run a", "run b", "2026-01-02", "true"], 10))
        write("returning", np.repeat(["a", "b", "a", "b"], 10))
        write("unnamed", np.repeat(["a", "b", "nan", "c"], 10))
        write("mixed", np.arange(n) % 2)
        whole = np.arange(2 * n).reshape(n, 2) % 3 - 1
        write("whole", np.arange(20_000) // 10, whole.astype(object))
        with open(folder + "late.csv", "w") as file:
            file.write(open(folder + "whole.csv").read() + "1,2,3,0.5,0.5,1,9,1,2\\n")
        """)
    let columns = ["--columns", "observation=o[*],action=u,v,reward=r,episode=episode"]
    for name in ["large.csv", "small.csv", "texts.csv", "returning.csv"] {
      let result = try expectImport(name, columns, of: Self.cutOff)
      let again = "note: \(folder.file("returning.csv")): line 22: episode a comes again after others"
      #expect(result.output.contains(again) == (name == "returning.csv"), "\(result)")
    }
    try FileManager.default.removeItem(atPath: out)
    try expectRefusal(
      "unnamed.csv", columns, saying: ["line 22, column 'episode': is nan, and names no episode"])
    try expectRefusal(
      "mixed.csv", columns,
      saying: ["gives no transitions", "the rows of one must stand together, so sort the file by 'episode'"])
    try expectRefusal(
      "large.csv", ["--columns", "observation=twice,action=u,v,reward=r,episode=episode"],
      saying: ["two columns are called 'twice'"])
    try expectRefusal("whole.csv", columns, saying: ["column 'u' holds int64: discrete actions"])
    // One number with a decimal point, however late, says that they lie on a range.
    try require(dataset("late.csv", columns[0], columns[1]))
  }

  @Test(.enabled(if: hasPyArrow, "pyarrow is not installed")) func parquet() throws {
    try python(
      Self.steps + """
        import pyarrow as pa, pyarrow.parquet as pq
        episode = np.repeat([5, 3, 4, 1], 10)
        table = {"x": pa.array(s.tolist(), pa.list_(pa.float64(), 3)), "u": pa.array(a.tolist(), pa.list_(pa.float32())),
            "r": r, "done": terminal, "episode": episode, "button": episode}
        pq.write_table(pa.table(table), folder + "data.parquet", row_group_size=7)
        table["u"] = pa.array([[1.0, 2.0]] * 39 + [[1.0]], pa.list_(pa.float32()))
        pq.write_table(pa.table(table), folder + "ragged.parquet")
        table["u"] = pa.array(a.tolist(), pa.list_(pa.float32()))
        table["x"] = pa.array([[1.0, None, 2.0]] * 40, pa.list_(pa.float64(), 3))
        pq.write_table(pa.table(table), folder + "null.parquet")
        data = open(folder + "data.parquet", "rb").read()
        open(folder + "cut.parquet", "wb").write(data[: len(data) // 2])
        states = s.tolist()
        table["x"] = pa.array([*states[:20], [1.0, 2.0], [1.0, 2.0, 3.0, 4.0], *states[22:]], pa.list_(pa.float64()))
        pq.write_table(pa.table(table), folder + "shifted.parquet")
        table["x"] = pa.array([[], *s.tolist()[1:]], pa.list_(pa.float64()))
        pq.write_table(pa.table(table), folder + "empty.parquet")
        table["x"] = pa.array(s.tolist(), pa.list_(pa.float64()))
        pq.write_table(pa.table(table).slice(0, 0), folder + "none.parquet")
        days = np.repeat(np.array(["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]), 10)
        for name, column in {"texts": days, "categories": pa.array(days).dictionary_encode(),
            "dates": days.astype("datetime64[D]"), "records": pa.array([{"day": day} for day in days]),
            "gaps": pa.array([*days[:39], None])}.items():
            pq.write_table(pa.table({**table, "episode": column}), f"{folder}{name}.parquet")
        table["episode"] = 2**60 + np.repeat(range(4), 10)
        unused = pa.array(["1"] * n)
        table = pa.table(table).append_column("unused", unused).append_column("unused", unused)
        pq.write_table(table, folder + "large.parquet")
        """)
    let columns = ["--columns", "observation=x,action=u,reward=r,terminal=done,episode=episode"]
    try require(dataset("data.parquet", columns[0], columns[1]))
    try python(Self.steps + Self.expected)
    try FileManager.default.removeItem(atPath: out)
    try expectRefusal(
      "ragged.parquet", columns, saying: ["row 39, column 'u': has 1 numbers, the first row 2"])
    // The total of the batch is that of whole rows.
    try expectRefusal(
      "shifted.parquet", columns, saying: ["row 20, column 'x': has 2 numbers, the first row 3"])
    try expectRefusal("empty.parquet", columns, saying: ["empty.parquet: has no numbers in an observation"])
    try expectRefusal("none.parquet", columns, saying: ["none.parquet: has no rows"])
    let episodes = ["--columns", "observation=x,action=u,reward=r,episode=episode"]
    for name in ["large", "texts", "categories", "dates"] {
      try expectImport(name + ".parquet", episodes, of: Self.cutOff)
    }
    try FileManager.default.removeItem(atPath: out)
    try expectRefusal("records.parquet", episodes, saying: ["column 'episode': holds struct<day: string>"])
    try expectRefusal("gaps.parquet", episodes, saying: ["row 39, column 'episode': is empty"])
    try expectRefusal("null.parquet", columns, saying: ["row 0, column 'x': is empty"])
    try expectRefusal("cut.parquet", columns, saying: ["cut.parquet"])
    try expectRefusal(
      "data.parquet", ["--columns", "observation=x,action=button,reward=r,episode=episode"],
      saying: ["column 'button' holds int64: discrete actions"])
  }

  /// A file or directory in the layout that LeRobot writes.
  @Test(.enabled(if: hasPyArrow, "pyarrow is not installed")) func leRobot() throws {
    try python(
      Self.steps + """
        import io, json, os, pyarrow as pa, pyarrow.parquet as pq
        from PIL import Image
        def feature(dtype, *shape): return {"dtype": dtype, "shape": list(shape), "names": None}
        features = {"observation.state": feature("float32", 3), "action": feature("float32", 2),
            "observation.images.front": feature("video", 3, 48, 64), "next.reward": feature("float32", 1),
            "observation.images.top": feature("image", 4, 5, 3),
            "next.done": feature("bool", 1), "next.success": feature("bool", 1), "episode_index": feature("int64", 1)}
        def png(i):
            data = io.BytesIO()
            Image.fromarray(np.full((4, 5, 3), i, np.uint8)).save(data, "PNG")
            return {"bytes": data.getvalue(), "path": None}
        table = pa.table({"observation.state": pa.array(s.tolist(), pa.list_(pa.float32(), 3)),
            "action": pa.array(a.tolist(), pa.list_(pa.float32(), 2)), "next.reward": pa.array(r, pa.float32()),
            "observation.images.top": pa.array(
                [png(i) for i in range(n)], pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            "next.done": terminal | timeout, "next.success": terminal, "episode_index": np.repeat(range(4), 10)})
        def write(name, version, features, parts):
            os.makedirs(f"{folder}{name}/meta")
            os.makedirs(f"{folder}{name}/data/chunk-000")
            with open(f"{folder}{name}/meta/info.json", "w") as file:
                json.dump({"codebase_version": version, "features": features}, file)
            for path, part in parts: pq.write_table(part, f"{folder}{name}/data/chunk-000/{path}.parquet")
        write("v2", "v2.1", features, [(f"episode_{i:06d}", table.slice(10 * i, 10)) for i in range(4)])
        write("v3", "v3.0", features, [("file-000", table.slice(0, 25)), ("file-001", table.slice(25))])
        plain = {k: v for k, v in features.items() if not k.startswith("next.")}
        write("plain", "v3.0", plain, [("file-000", table.drop(["next.reward", "next.done", "next.success"]))])
        write("old", "v1.6", features, [])
        """)
    for name in ["v2", "v3"] {
      let result = try dataset(name)
      try require(result)
      let unread = "images and videos that are not read: observation.images.front, observation.images.top"
      #expect(result.output.contains(unread), "\(result)")
      try python(Self.steps + Self.expected)
      try FileManager.default.removeItem(atPath: out)
    }
    try require(dataset("v3", "--columns", "observation=observation.images.top"))
    try python(
      Self.steps + """
        s = np.repeat(np.arange(n), 60).reshape(n, 4, 5, 3)

        """ + Self.expected)
    try FileManager.default.removeItem(atPath: out)
    try expectRefusal(
      "plain", ["--reward-rule", "recorded"], saying: ["records no next.reward", "last-step"])
    try require(dataset("plain", "--reward-rule", "last-step"))
    try python(
      Self.steps + """
        kept = np.flatnonzero(np.arange(n) % 10 != 9)
        last = (kept % 10 == 8).astype(float)
        check(s[kept], a[kept], last, 1 - last, s[kept + 1], [9] * 4)
        """)
    try FileManager.default.removeItem(atPath: out)
    try expectRefusal("old", saying: ["v1.6; v2 and v3 are read"])
  }

  /// Success that is seen in several frames, and not only in the last, does not cut an episode in pieces.
  @Test(.enabled(if: hasPyArrow, "pyarrow is not installed")) func leRobotSuccessBeforeTheEnd() throws {
    try python(
      Self.steps + """
        import json, os, pyarrow as pa, pyarrow.parquet as pq
        features = {"observation.state": 3, "action": 2, "next.reward": 1, "next.success": 1, "episode_index": 1}
        os.makedirs(f"{folder}held/meta")
        os.makedirs(f"{folder}held/data/chunk-000")
        with open(f"{folder}held/meta/info.json", "w") as file:
            json.dump({"codebase_version": "v3.0", "total_episodes": 4, "total_frames": n,
                "features": {name: {"dtype": "float32", "shape": [size]} for name, size in features.items()}}, file)
        success = np.arange(n) % 10 >= 7
        success[39] = False
        pq.write_table(pa.table({"observation.state": s.tolist(), "action": a.tolist(), "next.reward": r,
            "next.success": success, "episode_index": np.repeat(range(4), 10)}),
            f"{folder}held/data/chunk-000/file-000.parquet")
        """)
    try require(dataset("held"))
    try python(
      Self.steps + """
        success = np.arange(n) % 10 >= 7
        kept = np.arange(39)
        check(s[kept], a[kept], r[kept], 1 - success[kept], s[np.where(kept % 10 == 9, kept, kept + 1)], [10, 10, 10, 9])
        """)
  }

  /// Files in the order of their numbers, with all rows that meta/info.json counts, each in its place.
  @Test(.enabled(if: hasPyArrow, "pyarrow is not installed")) func leRobotRowsInTheirPlaces() throws {
    try python(
      Self.steps + """
        import io, json, os, struct, zlib, pyarrow as pa, pyarrow.parquet as pq
        top = "observation.images.top"
        kinds = {"observation.state": "float32", "action": "float32", "next.reward": "float32", "next.done": "bool",
            top: "image"}
        # An image of 16 bits, which Pillow does not write.
        number = lambda value: struct.pack(">I", value)
        def part(kind, data): return number(len(data)) + kind + data + number(zlib.crc32(kind + data))
        deep = (b"\\x89PNG\\r\\n\\x1a\\n" + part(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0))
            + part(b"IDAT", zlib.compress(bytes(4 * 25))) + part(b"IEND", b""))
        def write(name, info={}, names=("file-9", "file-10"), **changed):
            os.makedirs(f"{folder}{name}/meta")
            os.makedirs(f"{folder}{name}/data/chunk-000")
            about = {"codebase_version": "v3.0", "features": {k: {"dtype": v} for k, v in kinds.items()}, **info}
            with open(f"{folder}{name}/meta/info.json", "w") as file: json.dump(about, file)
            columns = {"observation.state": pa.array(s.tolist()), "action": pa.array(a.tolist(), pa.list_(pa.float32())),
                "next.reward": pa.array(r, pa.float32()), "next.done": terminal, "episode_index": np.repeat(range(4), 10),
                "frame_index": np.tile(range(10), 4), top: pa.array([{"bytes": deep}] * n)} | changed
            table = pa.table(columns)
            for path, rows in zip(names, (table.slice(0, 25), table.slice(25))):
                pq.write_table(rows, f"{folder}{name}/data/chunk-000/{path}.parquet")
        write("good", {"total_episodes": 4, "total_frames": 40})
        write("missing", {"total_episodes": 4, "total_frames": 40}, ["file-000"])
        write("episode", {"total_episodes": 5})
        frames = np.tile(range(10), 4)
        frames[32] = 4
        write("frames", frame_index=frames)
        wrong = s.copy()
        wrong[30, 1] = np.nan
        write("nan", **{"observation.state": pa.array(wrong.tolist())})
        """)
    try require(dataset("good"))
    try python(Self.steps + Self.expected)
    try FileManager.default.removeItem(atPath: out)
    for (name, parts) in [
      ("missing", ["missing/meta/info.json: total_frames is 40, and data/ has 25"]),
      ("episode", ["episode/meta/info.json: total_episodes is 5, and data/ has 4"]),
      ("frames", ["file-10.parquet: row 7, column 'frame_index': is 4 where 2 is due in episode 3"]),
      ("nan", ["file-10.parquet: row 5, column 'observation.state': is nan"]),
    ] {
      try expectRefusal(name, saying: parts)
    }
    try expectRefusal(
      "good", ["--columns", "observation=observation.images.top"],
      saying: ["file-9.parquet: row 0, column 'observation.images.top': has 16 bits a channel"])
  }

  /// Four episodes of ten steps, of which each image has one colour, in videos of both formats.
  @Test(.enabled(if: hasPyAV, "pyarrow or av is not installed")) func leRobotVideos() throws {
    try python(
      Self.steps + """
        import av, json, os, pyarrow as pa, pyarrow.parquet as pq
        key = "observation.images.top"
        features = {name: {"dtype": kind} for name, kind in
            {key: "video", "action": "float32", "next.reward": "float32", "next.done": "bool"}.items()}
        table = pa.table({"action": pa.array(a.tolist(), pa.list_(pa.float32(), 2)),
            "next.reward": pa.array(r, pa.float32()), "next.done": terminal,
            "episode_index": np.repeat(range(4), 10), "frame_index": np.tile(range(10), 4)})
        def video(path, colours, height=48):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with av.open(path, "w") as file:
                stream = file.add_stream("libx264", rate=10, options={"g": "2", "crf": "20"})
                stream.width, stream.height, stream.pix_fmt = 64, height, "yuv420p"
                for colour in colours:
                    image = np.full((height, 64, 3), 6 * colour, np.uint8)
                    file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
                file.mux(stream.encode())
        def write(name, version, parts, **more):
            os.makedirs(f"{folder}{name}/meta/episodes/chunk-000")
            os.makedirs(f"{folder}{name}/data/chunk-000")
            info = {"codebase_version": version, "features": features, "fps": 10, "chunks_size": 3, **more}
            with open(f"{folder}{name}/meta/info.json", "w") as file: json.dump(info, file)
            for path, part in parts: pq.write_table(part, f"{folder}{name}/data/chunk-000/{path}.parquet")
        def v2(name, **more):
            write(name, "v2.1", [(f"episode_{i:06d}", table.slice(10 * i, 10)) for i in range(4)], **more)
            for i in range(4): video(path(name, i), range(10 * i, 10 * i + 10))
        def path(name, i): return f"{folder}{name}/videos/chunk-{i // 3:03d}/{key}/episode_{i:06d}.mp4"
        def v3(name):
            write(name, "v3.0", [("file-000", table.slice(0, 25)), ("file-001", table.slice(25))])
            place = f"{folder}{name}/videos/{key}/chunk-000/file-00"
            episodes = {"episode_index": range(4), f"videos/{key}/chunk_index": [0] * 4,
                f"videos/{key}/file_index": [0, 0, 0, 1], f"videos/{key}/from_timestamp": [0.0, 1.0, 2.0, 0.0]}
            pq.write_table(pa.table(episodes), f"{folder}{name}/meta/episodes/chunk-000/file-000.parquet")
            video(place + "0.mp4", range(30))
            video(place + "1.mp4", range(30, 40))
        v2("v2")
        v3("v3")
        v3("untimed")
        place = f"{folder}untimed/meta/episodes/chunk-000/file-000.parquet"
        pq.write_table(pq.read_table(place).drop([f"videos/{key}/from_timestamp"]), place)
        v2("short")
        video(path("short", 1), range(9))
        v2("large")
        video(path("large", 1), range(10), 64)
        v2("damaged")
        with open(path("damaged", 2), "r+b") as file: file.truncate(os.path.getsize(file.name) // 2)
        v2("missing")
        os.unlink(path("missing", 3))
        v2("outside", video_path="../{video_key}.mp4")
        v2("rate", fps=20)
        """)
    let columns = ["--columns", "observation=observation.images.top"]
    for name in ["v2", "v3"] {
      try require(dataset(name, columns[0], columns[1]))
      try python(
        Self.steps + """
          images = np.load(folder + "out/observations.npy")
          # Where a task ended, its last image stands for the final state too.
          colours = 6 * np.array([*range(20), 19, *range(20, 30), 29, *range(30, 40), 39])
          assert images.dtype == np.uint8 and images.shape == (43, 48, 64, 3), images.shape
          assert np.abs(images - colours[:, None, None, None]).max() <= 2
          """)
      try FileManager.default.removeItem(atPath: out)
    }
    for (name, parts) in [
      ("untimed", ["file-000.parquet: has no column 'videos/observation.images.top/from_timestamp'"]),
      ("short", ["episode_000001.mp4: episode 1, frame 9: the video has only 9 frames"]),
      ("large", ["episode_000001.mp4: episode 1, frame 0: has 64 x 64 pixels"]),
      ("damaged", ["episode_000002.mp4: episode 2, frame 0: the video cannot be decoded"]),
      ("missing", ["episode_000003.mp4: episode 3, frame 0: the file is missing"]),
      ("outside", ["video_path '../observation.images.top.mp4' in meta/info.json leads out of the dataset"]),
      ("rate", ["episode 0, frame 1: the video is damaged at frame 1, or has not 20 frames"]),
    ] {
      try expectRefusal(name, columns, saying: parts)
    }
  }

  /// Options that the kind of the file does not have.
  @Test func optionsOfOtherKindsAreRefused() throws {
    try python(
      Self.steps + """
        np.savez(folder + "cut.npz", observations=s, actions=a, rewards=r, terminals=terminal, timeouts=timeout)
        """)
    for (option, value) in [("--convention", "antmaze"), ("--episode-limit", "5")] {
      try expectRefusal("cut.npz", [option, value], saying: ["\(option) is for d4rl, and this is npz"])
    }
    try expectRefusal("cut.npz", ["--from", folder.path], code: 64, saying: ["--from: ", "not a name"])
    try expectRefusal(
      "cut.npz", ["--env", "nowhere"], code: 64, saying: ["--env nowhere: ", "leave it out"])
    var fixture = DatasetFixture(episodes: 3)
    fixture.rewards = fixture.terminals
    try fixture.write(to: folder.file("ogbench.npz"))
    try expectRefusal(
      "ogbench.npz", ["--convention", "other"], code: 64,
      saying: ["--convention and --episode-limit are for D4RL's"])
    try expectRefusal(
      "ogbench.npz", ["--env", "cube-single-play-singletask-v0"], code: 64,
      saying: ["--env cube-single-play-singletask-v0: ", "has rewards"])
  }

  @Test func numbersThatAScaleMakesTooLarge() throws {
    _ = try folder.write("x,a,r,d\n1,0.5,1,0\n2,0.1,2,0\n3,0.2,3,1\n", to: "data.csv")
    let columns = ["--columns", "observation=x,action=a,reward=r,terminal=d"]
    try expectRefusal(
      "data.csv", columns + ["--reward-scale", "1e39"], code: 64, saying: ["row 0", "--reward-scale"])
  }

  /// Actions that are words are as discrete as whole numbers; a name must be shown as it is written.
  @Test func wordsInCSV() throws {
    _ = try folder.write("größe,a,r,d\n1,true,1,0\n2,false,2,0\n3,true,3,1\n", to: "words.csv")
    try expectRefusal(
      "words.csv", ["--columns", "observation=größe,action=a,reward=r,terminal=d"],
      saying: ["column 'a'", "discrete actions"])
    try expectRefusal(
      "words.csv", ["--columns", "observation=länge,action=a,reward=r,terminal=d"],
      saying: ["no column 'länge'; there are größe, a"])
    try Data([UInt8]("gr\u{F6}\u{DF}e,a,r,d\n".unicodeScalars.map { UInt8($0.value) }))
      .write(to: URL(fileURLWithPath: folder.file("latin.csv")))
    try expectRefusal(
      "latin.csv", ["--columns", "observation=größe,action=a,reward=r,terminal=d"],
      saying: ["line 1", "not UTF-8"])
  }

  // MARK: NumPy

  @Test func npzWithMoreDataThanItsShapeSays() throws {
    try python(
      Self.steps + """
        import io, zipfile
        with zipfile.ZipFile(folder + "more.npz", "w") as file:
            arrays = dict(observations=s, actions=a, rewards=r, terminals=terminal, timeouts=timeout)
            for name, array in arrays.items():
                data = io.BytesIO()
                np.save(data, array)
                text = data.getvalue()
                if name == "actions": text = text.replace(b"(40, 2), ", b"(20, 2), ")
                if name != "actions": text = text.replace(b"(40,", b"(20,")
                file.writestr(name + ".npy", text)
        """)
    try expectRefusal("more.npz", saying: ["member", "more data than its shape (20 rows) says"])
  }

  /// The same steps with the names of other projects, whose flags say in other ways what ended.
  @Test func npzWithOtherFlags() throws {
    try python(
      Self.steps + """
        after, ends = np.roll(s, -1, 0), terminal | timeout
        after[9] = 7
        def write(name, **flags): np.savez(f"{folder}{name}.npz", actions=a, rewards=r, **flags)
        # Each step is a transition: OGBench's arrays, and those of replay buffers.
        write("masks", observations=s, masks=1 - terminal, terminals=ends, next_observations=after)
        write("next", obs=s, dones=ends, timeouts=timeout, next_obs=after)
        write("new", obs=s, terminateds=terminal, truncateds=timeout, new_obs=after)
        # The next state is that of the step after it.
        write("dones", obs=s, dones=ends, truncated=timeout)
        write("both", observations=s, terminals=terminal, dones=ends)
        """)
    for name in ["masks", "next", "new"] {
      try require(dataset("\(name).npz"))
      try python(Self.steps + Self.expectedWithNext)
      try FileManager.default.removeItem(atPath: out)
    }
    for name in ["dones", "both"] {
      try require(dataset("\(name).npz"))
      try python(Self.steps + Self.expected)
      try FileManager.default.removeItem(atPath: out)
    }
  }

  /// OGBench's compact arrays: `terminals` are 1 on the last two rows of an episode, and `valids` 0 on the last.
  @Test func compactArraysOfOGBench() throws {
    try python(
      Self.steps + """
        place = np.arange(n) % 10
        np.savez(folder + "compact.npz", observations=s.astype("f4"), actions=a.astype("f4"), rewards=r.astype("f4"),
            masks=(place < 7).astype("f4"), terminals=(place > 7).astype("f4"), valids=(place < 9).astype("f4"))
        """)
    let result = try dataset("compact.npz")
    try require(result)
    #expect(!result.output.contains("warning") && !result.output.contains("not used"), "\(result)")
    try python(
      Self.steps + """
        kept = np.flatnonzero(np.arange(n) % 10 < 9)
        check(s[kept], a[kept], r[kept], kept % 10 < 7, s[kept + 1], [9] * 4)
        """)
  }

  @Test func npzWithNextObservationsOrTimeouts() throws {
    try python(
      Self.steps + """
        after = np.roll(s, -1, 0)
        after[9] = 7
        np.savez_compressed(folder + "next.npz", observations=s, actions=a, rewards=r, terminals=terminal,
            next_observations=after, infos=s)
        np.savez(folder + "cut.npz", observations=s, actions=a, rewards=r, terminals=terminal, timeouts=timeout)
        np.savez(folder + "cuts.npz", observations=s, actions=a, rewards=r, terminals=terminal,
            timeouts=np.zeros(n), truncations=timeout)
        np.savez(folder + "buttons.npz", observations=s, actions=np.arange(n) % 4, rewards=r, terminals=terminal)
        np.savez(folder + "short.npz", observations=s, actions=a, rewards=r[:-1], terminals=terminal)
        np.savez(folder + "pickled.npz", observations=s, actions=a, rewards=r.astype(object), terminals=terminal)
        s[3, 1] = np.nan
        np.savez(folder + "nan.npz", observations=s, actions=a, rewards=r, terminals=terminal)
        """)
    let result = try dataset("next.npz")
    try require(result)
    #expect(result.output.contains("members that are not used: infos"), "\(result)")
    try python(Self.steps + Self.expectedWithNext)
    try FileManager.default.removeItem(atPath: out)
    for name in ["cut.npz", "cuts.npz"] {
      try require(dataset(name))
      try python(Self.steps + Self.expected)
      try FileManager.default.removeItem(atPath: out)
    }
    try expectRefusal("buttons.npz", saying: ["member 'actions' holds int64: discrete actions"])
    try expectRefusal("short.npz", saying: ["member 'rewards' has shape (39,)", "(40, 3)"])
    try expectRefusal("pickled.npz", saying: ["member 'rewards' holds Python objects, not numbers"])
    try expectRefusal("nan.npz", saying: ["row 3, observations column 1: is nan"])
  }

  @Test func npzWithValidationData() throws {
    try python(
      Self.steps + """
        np.savez(folder + "own.npz", observations=s, actions=a, rewards=r, terminals=terminal, timeouts=timeout)
        np.savez(folder + "own-val.npz", observations=s[10:], actions=a[10:], rewards=r[10:], terminals=terminal[10:])
        np.savez(folder + "wide.npz", observations=s, actions=a, rewards=r, terminals=terminal)
        np.savez(folder + "wide-val.npz", observations=a, actions=a, rewards=r, terminals=terminal)
        """)
    try expectRefusal("wide.npz", saying: ["wide-val.npz: has observations of shape (2,)", "(3,)"])
    try expectImport("own.npz", of: Self.expected)
    let validation = try run(built("fan-dist"), ["dataset", "info", out + "/validation"])
    #expect(validation.output.contains("33 rows, 30 transitions in 3 episodes"), "\(validation)")
  }

  /// Whether the next step begins elsewhere is seen in each column by its own size, and not in rounding.
  @Test func npzWhoseNextStepBeginsElsewhere() throws {
    try python(
      Self.steps + """
        def write(name, states, after):
            np.savez(f"{folder}{name}.npz", observations=states, actions=a, rewards=r, terminals=terminal,
                next_observations=after)
        def beside(column, states): return np.concatenate([np.full((n, 1), column), states], axis=1)
        after = np.roll(s, -1, 0)
        after[9] = after[9] + [0, 1e-3, 0]
        write("beside", beside(5e6, s), beside(5e6, after))
        write("tiny", 1e-7 * s, 1e-7 * after)
        write("single", s, after.astype(np.float32))
        write("half", s.astype(np.float32), np.where(np.arange(n)[:, None] == 9, 7, after).astype(np.float16))
        # Next states between whole numbers keep their fractions.
        write("whole", np.arange(n)[:, None], np.arange(n)[:, None] + np.where(np.arange(n)[:, None] == 9, 1.5, 1))
        """)
    for name in ["beside", "tiny", "single", "half", "whole"] {
      try require(dataset(name + ".npz"))
      try python(
        Self.steps + """
          rows = {k: np.load(f"{folder}out/{k}.npy") for k in ("observations", "terminals")}
          ends = np.flatnonzero(rows["terminals"])
          assert list(np.diff(ends, prepend=-1) - 1) == [10] * 4, ends
          assert "\(name)" != "whole" or rows["observations"][10, 0] == 10.5
          """)
      try FileManager.default.removeItem(atPath: out)
    }
  }

  /// Members that are no numbers, flags that are none, and files that are damaged.
  @Test func wrongNpzIsNamedByMemberAndRow() throws {
    try python(
      Self.steps + """
        def write(name, **changed):
            members = dict(observations=s, actions=a, rewards=r, terminals=terminal) | changed
            np.savez(f"{folder}{name}.npz", **members)
        write("good")
        write("texts", terminals=np.where(terminal, "1", "0"))
        write("complex", rewards=r + 1j)
        write("dates", rewards=np.arange(n).astype("M8[s]"))
        write("records", terminals=np.zeros(n, [("flag", "f4")]))
        write("nan", truncations=np.where(np.arange(n) == 9, np.nan, 0))
        write("two", terminals=np.where(np.arange(n) == 9, 2, 0))
        write("fortran", observations=np.asfortranarray(s))
        write("scalar", rewards=np.float32(1))
        write("narrow", observations=np.zeros((n, 0)))
        data = bytearray(open(folder + "good.npz", "rb").read())
        data[data.find(s.tobytes())] ^= 1
        open(folder + "damaged.npz", "wb").write(data)
        """)
    for (name, part) in [
      ("texts", "member 'terminals' holds text, not numbers"),
      ("complex", "member 'rewards' holds complex128, not numbers"),
      ("dates", "member 'rewards' holds datetime64[s], not numbers"),
      ("records", "member 'terminals' holds [('flag', '<f4')], not numbers"),
      ("nan", "row 9, truncations: is nan; a flag is 0 or 1"),
      ("two", "row 9, terminals: is 2; a flag is 0 or 1"),
      ("fortran", "member 'observations' is stored in Fortran order"),
      ("scalar", "member 'rewards' is a single number"), ("narrow", "has no numbers in an observation"),
      ("damaged", "member 'observations': cannot be read: it is damaged or of another kind (BadZipFile: "),
    ] {
      try expectRefusal(name + ".npz", saying: ["\(name).npz", part])
    }
  }

  // MARK: HDF5

  /// Files in the layouts that d3rlpy's ReplayBuffer.dump and its older MDPDataset.dump write.
  @Test func d3rlpy() throws {
    try python(
      Self.steps + """
        import h5py
        with h5py.File(folder + "new.h5", "w") as file:
            file.create_dataset("columns", data=["observations", "actions", "rewards", "terminated"])
            file.create_dataset("num_episodes", data=4)
            for i in range(4):
                part = slice(10 * i, 10 * i + 10)
                for name, data in ("observations", s[part]), ("actions", a[part]), ("rewards", r[part, None]):
                    file.create_dataset(f"{name}_{i}", data=data.astype(np.float32))
                file.create_dataset(f"terminated_{i}", data=i > 0)
            file.create_dataset("version", data="2.1")
        with h5py.File(folder + "old.h5", "w") as file:
            for name, data in ("observations", s), ("actions", a), ("rewards", r), ("terminals", terminal):
                file.create_dataset(name, data=data.astype(np.float32))
            file.create_dataset("episode_terminals", data=(terminal | timeout).astype(np.float32))
            file.create_dataset("discrete_action", data=False)
            file.create_dataset("version", data="1.0")
        with h5py.File(folder + "buttons.h5", "w") as file:
            file.create_dataset("observations_0", data=s)
            file.create_dataset("actions_0", data=np.ones((n, 1), np.int32))
        with h5py.File(folder + "few.h5", "w") as file:
            file.create_dataset("num_episodes", data=2)
            file.create_dataset("observations_0", data=s)
            file.create_dataset("actions_0", data=a)
            file.create_dataset("rewards_0", data=r[:9])
            file.create_dataset("terminated_0", data=True)
        with h5py.File(folder + "flag.h5", "w") as file:
            for name, data in ("observations", s), ("actions", a), ("rewards", r), ("terminated", np.nan):
                file.create_dataset(name + "_0", data=data)
        """)
    for name in ["new.h5", "old.h5"] {
      try require(dataset(name))
      try python(Self.steps + Self.expected)
      try FileManager.default.removeItem(atPath: out)
    }
    try expectRefusal("buttons.h5", saying: ["'actions_0' holds int32: discrete actions"])
    try expectRefusal("few.h5", saying: ["'rewards_0' has shape (9,), not (40, 1)"])
    try expectRefusal("flag.h5", saying: ["flag.h5: 'terminated_0': is nan; a flag is 0 or 1"])
  }

  @Test func d4rlWithNextObservationsInPlaceOfTimeouts() throws {
    try python(
      Self.steps + """
        import h5py
        after = np.roll(s, -1, 0)
        after[9] = 7
        with h5py.File(folder + "antmaze.hdf5", "w") as file:
            for name, data in ("observations", s), ("actions", a), ("rewards", r), ("next_observations", after):
                file[name] = data
            file["terminals"] = terminal
        """)
    try require(dataset("antmaze.hdf5", "--convention", "other"))
    let program =
      Self.steps + """
        after = np.roll(s, -1, 0)
        after[9] = 7

        """
    try python(program + "check(s, a, r, 1 - terminal, after, [10] * 4)")
    try FileManager.default.removeItem(atPath: out)
    // As published: an episode of antmaze goes on after its goal, and rewards are one less.
    try require(dataset("antmaze.hdf5"))
    try python(program + "check(s, a, r.astype(np.float32) - 1, 1 - terminal, after, [10, 30])")
    try FileManager.default.removeItem(atPath: out)
    try require(dataset("antmaze.hdf5", "--reward-rule", "recorded"))
    try python(program + "check(s, a, r, 1 - terminal, after, [10, 30])")
  }

  /// Nothing outside the file is read, and nothing is believed that would take more memory than the file can hold.
  @Test func hdf5ThatCannotBeTrusted() throws {
    try python(
      Self.steps + """
        import h5py
        def write(name, **changed):
            with h5py.File(f"{folder}{name}.hdf5", "w") as file:
                arrays = dict(observations=s, actions=a, rewards=r, terminals=terminal, timeouts=timeout) | changed
                for key, data in arrays.items():
                    if data is not None: file[key] = data
                return file
        write("other")
        write("link", rewards=h5py.ExternalLink("other.hdf5", "/rewards"))
        write("texts", rewards=np.array(["1"] * n, dtype="S1"))
        write("virtual", rewards=None)
        with h5py.File(folder + "virtual.hdf5", "a") as file:
            layout = h5py.VirtualLayout((n,), float)
            layout[:] = h5py.VirtualSource("other.hdf5", "rewards", (n,))
            file.create_virtual_dataset("rewards", layout)
        write("huge", rewards=None)
        with h5py.File(folder + "huge.hdf5", "a") as file:
            file.create_dataset("rewards", (1 << 40,), float, chunks=(1024,))
        write("piece", rewards=None)
        with h5py.File(folder + "piece.hdf5", "a") as file:
            file.create_dataset("rewards", (1 << 27,), float, chunks=(1 << 26,), compression="gzip")
        write("zeros", rewards=None)
        with h5py.File(folder + "zeros.hdf5", "a") as file: file.create_dataset("rewards", (n,), float)
        write("part", rewards=None)
        with h5py.File(folder + "part.hdf5", "a") as file:
            file.create_dataset("rewards", (n,), float, chunks=(20,))[:20] = 1
        write("soft", rewards=h5py.SoftLink("/infos/rewards"))
        """)
    for (name, part) in [
      ("link", "'rewards' is a link, which is not followed"), ("soft", "'rewards' is a link"),
      ("virtual", "lies in other files"), ("texts", "not numbers"), ("piece", "too large to read"),
      ("huge", "of which not all is stored"),
      ("zeros", "'rewards' has shape (40,), of which not all is stored"),
      ("part", "of which not all is stored"),
    ] {
      try expectRefusal(name + ".hdf5", saying: [part])
    }
  }

  // MARK: Directories

  @Test func minariDirectories() throws {
    try python(
      """
      import os
      os.environ["MINARI_DATASETS_PATH"] = folder + "minari"
      import gymnasium, minari
      from minari.data_collector import EpisodeBuffer
      random = np.random.default_rng(0)
      buffers = [EpisodeBuffer(
          observations=random.normal(size=(11, 3)).astype(np.float32), actions=random.uniform(-2, 2, (10, 1)),
          rewards=list(map(float, range(10))), terminations=[False] * 9 + [i == 1],
          truncations=[False] * 9 + [i != 1]) for i in range(3)]
      minari.create_dataset_from_buffers("test/own-v0", buffers, env="Pendulum-v1")
      discrete = [EpisodeBuffer(
          observations=np.zeros((3, 4), np.float32), actions=np.array([0, 1]), rewards=[1.0, 1.0],
          terminations=[False, True], truncations=[False, False])]
      minari.create_dataset_from_buffers("test/buttons-v0", discrete, env="CartPole-v1")
      """)
    let result = try dataset("minari/test/own-v0")
    try require(result)
    #expect(result.output.contains("actions are scaled to [-1, 1]: (x - 0.0) / 2.0"), "\(result)")
    try python(
      """
      random = np.random.default_rng(0)
      s, a = zip(*((random.normal(size=(11, 3)), random.uniform(-2, 2, (10, 1))) for _ in range(3)))
      mask = np.arange(30) != 19
      check(np.concatenate([o[:-1] for o in s]), np.concatenate(a).astype(np.float32) / 2, np.arange(30) % 10, mask,
          np.concatenate([o[1:] for o in s]), [10] * 3)
      """)
    try FileManager.default.removeItem(atPath: out)
    try expectRefusal(
      "minari/test/buttons-v0", saying: ["actions are Discrete(2)", "discrete actions cannot"])
    try expectRefusal(
      "minari/test/own-v0/data/main_data.hdf5",
      saying: ["import the directory that holds data/main_data.hdf5"])
    try FileManager.default.createDirectory(
      atPath: folder.file("empty"), withIntermediateDirectories: false)
    _ = try folder.write("{}", to: "empty/metadata.json")
    try expectRefusal("empty", saying: ["metadata.json: has no 'action_space'"])
  }

  /// An environment does not clip actions without bounds. Antmaze has the rewards of D4RL's own files.
  @Test func minariBoundsAndRewards() throws {
    try python(
      """
      import os
      os.environ["MINARI_DATASETS_PATH"] = folder + "minari"
      import gymnasium, minari
      from minari.data_collector import EpisodeBuffer
      buffers = [EpisodeBuffer(
          observations=np.zeros((4, 3), np.float32), actions=np.array([[-3, 0.5], [0, 0], [1, 1]], np.float32),
          rewards=[0.0, 1.0, 0.0], terminations=[False] * 3, truncations=[False, False, True])]
      space = gymnasium.spaces.Box(np.array([-np.inf, -1]), np.array([np.inf, 1]), dtype=np.float32)
      for name in ("test/free-v0", "D4RL/antmaze/own-v1"):
          minari.create_dataset_from_buffers(name, buffers, env="Pendulum-v1", action_space=space)
      """)
    let free = "minari/test/free-v0"
    try expectRefusal(free, saying: ["episode 0: step 0, actions column 0: is -3, outside -1 to 1"])
    for (source, rewards, rule) in [
      (free, [0, 1, 0], []), ("minari/D4RL/antmaze/own-v1", [-1, 0, -1], []),
      ("minari/D4RL/antmaze/own-v1", [0, 1, 0], ["--reward-rule", "recorded"]),
    ] {
      try require(dataset(source, ["--action-range", "-4,4"] + rule))
      try python(
        "check(np.zeros((3, 3)), np.array([[-3, 0.5], [0, 0], [1, 1]]) / 4, \(rewards), [1] * 3, np.zeros((3, 3)), [3])"
      )
      try FileManager.default.removeItem(atPath: out)
    }
  }

  /// Nothing outside the file is read, and what is wrong is named by episode, step and array.
  @Test func minariDirectoriesThatCannotBeTrusted() throws {
    try python(
      """
      import json, os, shutil
      os.environ["MINARI_DATASETS_PATH"] = folder + "minari"
      import h5py, minari
      from minari.data_collector import EpisodeBuffer
      buffers = [EpisodeBuffer(
          observations=np.zeros((11, 3), np.float32), actions=np.zeros((10, 1), np.float32), rewards=[0.0] * 10,
          terminations=[False] * 10, truncations=[False] * 9 + [True]) for _ in range(3)]
      minari.create_dataset_from_buffers("test/own-v0", buffers, env="Pendulum-v1")
      def write(name, array, data):
          shutil.copytree(folder + "minari/test/own-v0", folder + name)
          with h5py.File(f"{folder}{name}/data/main_data.hdf5", "a") as file:
              del file[array]
              if callable(data): data(file)
              elif data is not None: file[array] = data
      write("outside", "episode_1", h5py.ExternalLink(folder + "outside/data/main_data.hdf5", "/episode_0"))
      write("soft", "episode_1/rewards", h5py.SoftLink("/episode_0/rewards"))
      write("large", "episode_1/rewards",
          lambda file: file.create_dataset("episode_1/rewards", (10**11,), chunks=(1000,)))
      write("none", "episode_1/actions", None)
      write("texts", "episode_1/rewards", np.array([b"1"] * 10))
      write("flag", "episode_1/terminations", np.where(np.arange(10) == 4, np.nan, 0))
      write("nan", "episode_2/observations", np.where(np.arange(33).reshape(11, 3) == 13, np.nan, 0))
      write("few", "episode_2", None)
      write("arrow", "episode_2", lambda file: file.copy("episode_0", "episode_2"))
      place = folder + "arrow/data/metadata.json"
      metadata = json.load(open(place)) | {"data_format": "arrow"}
      json.dump(metadata, open(place, "w"))
      """)
    let data = "main_data.hdf5: "
    for (name, part) in [
      ("outside", "\(data)'episode_1/actions' is a link, which is not followed"),
      ("soft", "\(data)'episode_1/rewards' is a link"),
      ("large", "\(data)'episode_1/rewards' has shape (100000000000,), of which not all is stored"),
      ("none", "\(data)'episode_1/actions' is missing"),
      ("texts", "\(data)'episode_1/rewards' holds text, not numbers"),
      ("flag", "\(data)episode 1: step 4, terminations: is nan; a flag is 0 or 1"),
      ("nan", "\(data)episode 2: step 4, observations column 1: is nan"),
      ("few", "metadata.json: total_episodes is 3, and main_data.hdf5 has 2"),
      ("arrow", "metadata.json: data_format is arrow, and only hdf5 is read"),
    ] {
      try expectRefusal(name, saying: ["\(name)/data/", part])
    }
  }

  @Test func packagesThatAreMissingAreNamed() throws {
    try FileManager.default.createDirectory(
      atPath: folder.file("rlds"), withIntermediateDirectories: false)
    _ = try folder.write("{}", to: "rlds/features.json")
    _ = try folder.write("PAR1", to: "data.parquet")
    // An interpreter that has NumPy alone.
    let script = """
      #!/bin/sh
      code=$2
      shift 2
      exec \(pythonWithPackages!) -c "import sys
      for name in ('pyarrow', 'h5py', 'tensorflow_datasets'): sys.modules[name] = None
      $code" "$@"

      """
    let python = try folder.write(script, to: "interpreter")
    chmod(python, 0o755)
    for (name, package) in [("rlds", "tensorflow-datasets"), ("data.parquet", "pyarrow")] {
      let result = try run(
        built("fan-dist"), ["dataset", "import", folder.file(name), "--out", out, "--python", python])
      expectFailure(result, 71, ["a package that is missing", "-m pip install \(package)"])
    }
  }

  @Test(.enabled(if: hasTFDS, "tensorflow-datasets is not installed")) func rlds() throws {
    try python(
      """
      import tensorflow_datasets as tfds, os
      random = np.random.default_rng(0)
      features = tfds.features.FeaturesDict({"steps": tfds.features.Dataset({
          "observation": tfds.features.FeaturesDict({
              "state": tfds.features.Tensor(shape=(3,), dtype=np.float32),
              "image": tfds.features.Image(shape=(4, 4, 3))}),
          "action": tfds.features.Tensor(shape=(2,), dtype=np.float32), "reward": np.float32,
          "is_first": np.bool_, "is_last": np.bool_, "is_terminal": np.bool_})})
      def episode(number):
          random = np.random.default_rng(number)
          return {"steps": [{
              "observation": {"state": random.normal(size=3).astype(np.float32), "image": np.zeros((4, 4, 3), np.uint8)},
              "action": random.uniform(-1, 1, 2).astype(np.float32), "reward": float(i), "is_first": i == 0,
              "is_last": i == 5, "is_terminal": i == 5 and number == 1} for i in range(6)]}
      builder = tfds.dataset_builders.store_as_tfds_dataset(
          name="own", version="1.0.0", features=features, data_dir=folder + "tfds", disable_shuffling=True,
          split_datasets={"train": [(number, episode(number)) for number in range(3)]})
      os.rename(builder.data_path, folder + "rlds")
      """)
    let result = try dataset("rlds")
    try require(result)
    #expect(result.output.contains("18 rows, 15 transitions in 3 episodes of 5 to 5"), "\(result)")
    #expect(result.output.contains("masks 0 to 1, mean 0.933333"), "\(result)")
    #expect(result.output.contains("entries of observations that are not read: image"), "\(result)")
  }
}
