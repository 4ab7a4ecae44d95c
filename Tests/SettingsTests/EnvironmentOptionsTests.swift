import Basics
import Settings
import Testing

/// How environments are made and scored.
@Suite struct EnvironmentOptionsTests {
  private func options(_ arguments: String...) throws -> EnvironmentOptions {
    try Configuration.parse(arguments).environment
  }

  @Test(arguments: [
    ("env_id=pen-human-v1", #"{"env_id":"pen-human-v1"}"#),
    ("b=2,a=true,c=1e3,d=", #"{"a":true,"b":2,"c":1000.0,"d":""}"#),
    ("a=1.0,b=1,c=-0.5,d=1e-9", #"{"a":1.0,"b":1,"c":-0.5,"d":1e-09}"#),
    (#"mode="3",other=x=y"#, #"{"mode":"3","other":"x=y"}"#),
    (#"a="False",b=False2,c=1_0"#, #"{"a":"False","b":"False2","c":"1_0"}"#),
    (#"{"sizes": [1, 2], "deep": {"k": null}}"#, #"{"deep":{"k":null},"sizes":[1,2]}"#),
    // Equal keys of different objects, and texts that look like keys.
    (#"{"a": {"a": "a\":"}, "b": [{"c": 1}, {"c": 1}]}"#, #"{"a":{"a":"a\":"},"b":[{"c":1},{"c":1}]}"#),
  ]) func argumentsBecomeJSON(text: String, json: String) throws {
    #expect(try options("--env-kwargs", text).envKwargs?.description == json)
    #expect(try EnvironmentArguments(json).description == json)
  }

  @Test(arguments: [
    (["--env-kwargs", "stride"], "KEY=VALUE"), (["--env-kwargs", "a=1,a=2"], "given twice"),
    (["--env-kwargs", "{\"a\": }"], "not a JSON object"),
    (["--env-kwargs", #"{"a": 1, "b": {"a": "a"}, "\u0061" : 2}"#], "'a' is given twice"),
    (["--env-kwargs", #"{"a": [{"b": "\"", "c": {}, "b": 2}]}"#], "'b' is given twice"),
    (["--env-kwargs", "a b=1"], "'a b'"), (["--env-kwargs", "a=False"], "'a=False': write false"),
    (["--env-kwargs", "a=.5"], "'a=.5'"), (["--env-kwargs", "a=1,b=None"], "'b=None'"),
    (["--env-kwargs", "=1"], "''"), (["--env-kwargs", "a=" + String(repeating: "x", count: 5000)], "4096"),
    (["--max-episode-steps", "0"], "between 1 and 100000"), (["--env-wrapper", "module"], "MODULE:CLASS"),
    (["--env-wrapper", "os:system('x')"], "MODULE:CLASS"),
    (["--reference-returns", "1"], "'1' is not LOW,HIGH"),
    (["--reference-returns", "3,3"], "'3,3': LOW"), (["--reference-returns", "0,inf"], "'0,inf' is not"),
    (["--reference-returns", "5,3"], "must be less than HIGH"),
    (["--reference-returns", "0,1e-320"], "must be less"),
  ]) func mistakesAreNamed(arguments: [String], part: String) {
    let error = #expect(throws: (any Error).self) { try Configuration.parse(arguments) }
    let message = error.map { Configuration.message(for: $0) } ?? ""
    #expect(message.contains(part), "\(message)")
  }

  @Test func aConfigurationFileHoldsThem() throws {
    let given = [
      "--env=gymnasium:A-v0", "--env-kwargs=a=it's,b=2", "--env-wrapper=some.module:Class",
      "--max-episode-steps=7", "--reference-returns=-10,20",
    ]
    let configuration = try Configuration.parse(given)
    let again = try Configuration.parse(arguments(ofConfiguration: configuration.yaml, file: "c.yaml"))
    #expect(again.allSettings == configuration.allSettings)
    #expect(configuration.yaml.contains(#"env_kwargs: '{"a":"it''s","b":2}'"#))
    #expect(again.environment.referenceReturns?.values == [-10, 20])
  }

  @Test func embeddedTasksHaveNone() throws {
    let failure = #expect(throws: Failure.self) {
      try namedTask("pointmaze-u-stitch-singletask-v0", options("--max-episode-steps", "7"))
    }
    #expect(failure?.code == .usage && failure?.message.contains("--max-episode-steps") == true)
    _ = try namedTask("pointmaze-u-stitch-singletask-v0", options("--reference-returns=-60,0"))
  }

  /// D4RL's environments are made through another one.
  @Test func presetsKnowTheEnvironmentInside() throws {
    let configuration = try Configuration.layered([
      "--env=gymnasium:shimmy:GymV21Environment-v0", "--env-kwargs=env_id=d4rl:door-human-v1",
    ])
    #expect(configuration.benchmarkTask == "door-human-v1")
    #expect(configuration.hyperparameters.alpha1 == 3000 && configuration.steps == 500_000)
  }
}
