import Agents
import Kernels

extension Batch where T == Double {
  /// The same batch in double precision.
  convenience init(widening batch: Batch<Float>, _ spec: DataSpec, draws: [Draw]) {
    self.init(capacity: batch.rows, spec, draws: draws)
    update = batch.update
    rows = batch.rows
    globalRows = batch.globalRows
    func widen(_ source: Matrix<Float>, _ destination: Matrix<Double>) {
      for r in 0..<destination.rows {
        for c in 0..<source.columns { destination[r, c] = Double(source[r, c]) }
      }
    }
    func widen(_ source: Observations<Float>, _ destination: Observations<Double>) {
      guard case .image = spec.observation else { return widen(source.vectors, destination.vectors) }
      for r in 0..<destination.rows {
        destination.row(r).copyMemory(from: source.row(r), byteCount: spec.observation.byteCount)
      }
    }
    widen(batch.observations, observations)
    widen(batch.actions, actions)
    widen(batch.nextObservations, nextObservations)
    widen(batch.nextActions, nextActions)
    for (source, destination) in zip(batch.noise, noise) { widen(source, destination) }
    for r in 0..<rows {
      rewards[r] = Double(batch.rewards[r])
      masks[r] = Double(batch.masks[r])
    }
  }
}
