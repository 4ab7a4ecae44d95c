import Kernels
import Networks

/// Makes the critics' networks, all of which are in one flat vector.
struct CriticNetworks {
  let shapes: [NetworkShape]
  let layout: ParameterLayout
  private let rows: Int
  private let scratch: Scratch<Float>

  init(_ shapes: [NetworkShape], rows: Int) {
    self.shapes = shapes
    self.rows = rows
    layout = ParameterLayout(shapes)
    scratch = Scratch(rows: 2 * rows, width: shapes.flatMap(\.hidden).max() ?? 0)
  }

  func trained(_ name: String) -> MLP<Float> { make(name, start: layout.start(of: name)) }
  func target(_ name: String) -> MLP<Float> { make(name, start: layout.targetStart(of: name)) }

  private func make(_ name: String, start: Int) -> MLP<Float> {
    MLP(shapes.first { $0.name == name }!, start: start, rows: 2 * rows, scratch: scratch)
  }
}
