/// Examines images while rows pass: how often each channel has each of its 256 values.
struct ImageExaminer {
  /// The number of images of one colour.
  private(set) var plain = 0
  /// Where the first of them is.
  private(set) var firstPlain: ExaminedColumn.Place?
  private let channels: Int
  private var counts: [Int]
  private var series: [EpisodeSeries]
  private var episode: [(minimum: Int, maximum: Int, sum: Int, count: Int)]

  init(channels: Int) {
    self.channels = channels
    counts = [Int](repeating: 0, count: 256 * channels)
    series = [EpisodeSeries](repeating: EpisodeSeries(), count: channels)
    episode = Array(repeating: Self.nothing, count: channels)
  }

  private static let nothing = (minimum: 255, maximum: 0, sum: 0, count: 0)

  /// Adds the images of a block, the first of which is at `place`.
  mutating func add(_ block: RowBlock, from place: ExaminedColumn.Place) {
    let size = block.observation.count
    var number = place.episode
    for row in 0..<block.rows {
      add(UnsafeBufferPointer(start: block.images + row * size, count: size), row: place.row + row, number)
      guard block.terminals[row] != 0 else { continue }
      for channel in 0..<channels {
        let part = episode[channel]
        series[channel].add(
          episode: number, minimum: Double(part.minimum), maximum: Double(part.maximum),
          sum: Double(part.sum),
          count: part.count)
        episode[channel] = Self.nothing
      }
      number += 1
    }
  }

  private mutating func add(_ image: UnsafeBufferPointer<UInt8>, row: Int, _ number: Int) {
    var isPlain = true
    for channel in 0..<channels {
      var (low, high, sum) = (255, 0, 0)
      counts.withUnsafeMutableBufferPointer { counts in
        for index in stride(from: channel, to: image.count, by: channels) {
          let value = Int(image[index])
          counts[256 * channel + value] += 1
          low = min(low, value)
          high = max(high, value)
          sum += value
        }
      }
      isPlain = isPlain && low == high
      let part = episode[channel]
      episode[channel] = (
        min(part.minimum, low), max(part.maximum, high), part.sum + sum, part.count + image.count / channels
      )
    }
    guard isPlain else { return }
    plain += 1
    firstPlain = firstPlain ?? .init(row: row, episode: number)
  }

  /// What has been found, a column for each channel.
  var result: [ExaminedColumn] { (0..<channels).map(column) }

  private func column(_ channel: Int) -> ExaminedColumn {
    let counts = self.counts[256 * channel..<256 * (channel + 1)]
    let values = zip(0..<256, counts).filter { $1 > 0 }
    let total = Double(max(1, counts.reduce(0, +)))
    let mean = values.reduce(0) { $0 + Double($1.0 * $1.1) } / total
    let variance =
      values.reduce(0) { $0 + (Double($1.0) - mean) * (Double($1.0) - mean) * Double($1.1) } / total
    var histogram = Histogram()
    for (value, count) in values { histogram.add(Double(value), count: count) }
    func share(_ value: (Int, Int)?) -> Double { Double(value?.1 ?? 0) / total }
    return ExaminedColumn(
      name: "observations channel \(channel)", count: counts.reduce(0, +), notFinite: 0, firstNotFinite: nil,
      minimum: Double(values.first?.0 ?? 0), maximum: Double(values.last?.0 ?? 0), mean: mean,
      spread: variance.squareRoot(), repeated: nil, atMinimum: share(values.first),
      atMaximum: share(values.last),
      atBounds: 0, histogram: histogram, episodes: series[channel], oddity: nil)
  }
}
