/// The 95 % bootstrap interval of a mean (percentile method; Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
/// chapter 13): the range of the means of values drawn with replacement. Of several groups, such as runs of several
/// tasks, it is that of the mean of their means, and values are drawn within each group.
///
/// Nil if no group has two values. The same values give the same interval, because the random draws are the same each
/// time.
public func bootstrapInterval(ofGroups groups: [[Double]]) -> (low: Double, high: Double)? {
  guard groups.contains(where: { $0.count > 1 }) else { return nil }
  func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
  var random = RandomSequence(seed: 0, stream: .report)
  let means = (0..<1000).map { _ in
    mean(groups.map { values in mean(values.map { _ in values[random.below(values.count)] }) })
  }.sorted()
  return (means[24], means[974])
}
