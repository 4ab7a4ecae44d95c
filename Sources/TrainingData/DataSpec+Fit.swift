import Agents
import Basics
import Datasets

extension DataSpec {
  /// Throws unless data of this kind can be computed with where other data are, such as validation data where a run's
  /// own data are.
  ///
  /// - Parameters:
  ///   - other: what the other data are like.
  ///   - otherData: names the other data.
  ///   - data: names these data.
  func requireFit(_ other: DataSpec, of otherData: String, data: String) throws(Failure) {
    let actions = ObservationSpace.vector(actionSize)
    for (what, here, there) in [
      ("observations", observation, other.observation), ("actions", actions, .vector(other.actionSize)),
    ] where here != there {
      throw Failure(
        .data,
        "\(printable(data, limit: 1024)): \(what) of \(here), but of \(there) in \(printable(otherData, limit: 1024)); validation data must be like the data they belong to: replace or remove them"
      )
    }
    guard scales == other.scales else {
      throw Failure(
        .data,
        "\(printable(data, limit: 1024)): is scaled in another way than \(printable(otherData, limit: 1024)); import it with --scales-of the other dataset's directory"
      )
    }
    if let here = observationOrder, let there = other.observationOrder, here != there {
      throw Failure(
        .data,
        "\(printable(data, limit: 1024)): observations are \(orderText(here)), but \(orderText(there)) in \(printable(otherData, limit: 1024)); import both in one order"
      )
    }
  }
}

extension DatasetSource {
  /// What the rows are like; which rewards they have is not looked at.
  var rowSpec: DataSpec {
    DataSpec(
      observation: plan.observation, actionSize: plan.actionSize, rewards: 0...0,
      observationOrder: observationOrder, scales: scales)
  }
}

/// The order of an observation's entries, for people. The words are a file's, so they are made printable.
func orderText(_ order: [String]) -> String { printable(order.joined(separator: ", "), limit: 400) }
