#pragma once

#include <memory>
#include <vector>

namespace flow {

/// A stream of other code of this process, on the engine's device, and a point in it: the work that it had when
/// `Engine::mark` made this object.
class OtherStream {
 public:
  OtherStream() = default;
  virtual ~OtherStream() = default;
  OtherStream(const OtherStream&) = delete;
  OtherStream& operator=(const OtherStream&) = delete;
};

using OtherStreamPtr = std::shared_ptr<const OtherStream>;
using OtherStreams = std::vector<OtherStreamPtr>;

}  // namespace flow
