import Kernels
import Networks

// What an agent's critics say of one state and action, and what a figure says of a policy's actions.

/// Euler steps that behaviour cloning takes where the method itself never integrates its flow, as published.
let publishedFlowSteps = 10

/// Q(s, a, ε) for each ε of `noise`, and Z(s, a); means over the members.
func noisyReturns<T: Real>(
  _ critic: Stack<T>, _ criticZ: Stack<T>, _ parameters: UnsafePointer<T>, _ s: Observations<T>,
  _ a: Matrix<T>,
  noise: Matrix<T>
) -> ReturnEstimate {
  let samples = Block(network: critic.network, rows: 0..<noise.rows)
  for i in 0..<noise.rows {
    Block(network: critic.network, rows: i..<i + 1).place(s, a, noise.rows(i..<i + 1))
  }
  critic.network.forward(parameters, rows: samples.rows)
  let q = samples.values
  return ReturnEstimate(
    samples: (0..<noise.rows).map { Double(q.mean($0)) }, name: "Z",
    value: meanReturn(criticZ, parameters, s, a).value)
}

/// Q(s, a), the mean over the members.
func meanReturn<T: Real>(
  _ critic: Stack<T>, _ parameters: UnsafePointer<T>, _ s: Observations<T>, _ a: Matrix<T>
) -> ReturnEstimate {
  let row = Block(network: critic.network, rows: 0..<1)
  row.place(s, a)
  critic.network.forward(parameters, rows: row.rows)
  return ReturnEstimate(samples: [], name: "Q", value: Double(row.values.mean(0)))
}

extension Block {
  /// The figure `actor/mse`: mean over B and A of (clip(output) − a)².
  func clippedError(_ batch: Batch<T>) -> Double {
    let (output, a) = (output(), batch.a)
    var sum = T(0)
    for i in 0..<batch.rows {
      for c in 0..<a.columns { sum += squared(max(-1, min(1, output[i, c])) - a[i, c]).value }
    }
    return Double(sum * batch.perElement)
  }
}
