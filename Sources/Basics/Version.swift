/// The version of the program, as `--version` prints it and files record it.
public let version = "0.3.0"
