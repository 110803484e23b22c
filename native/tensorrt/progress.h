#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "tensorrt/abi.h"

namespace flow::tensorrt {

/// Tells the share of a build that is done. TensorRT tells phases that are steps of other phases.
class Progress final : public ProgressMonitor {
 public:
  /// `go_on` receives 0 to 1, never less than before, on any thread. It ends the build by returning false, and must not
  /// throw.
  explicit Progress(std::function<bool(float)> go_on) : go_on_(std::move(go_on)) {}

  void phase_start(const char* phase, const char* parent, std::int32_t steps) noexcept override;
  bool step_complete(const char* phase, std::int32_t step) noexcept override;
  void phase_finish(const char* phase) noexcept override;

  /// Whether `go_on` ended the build.
  bool ended() const { return ended_; }

 private:
  struct Phase {
    std::string parent;
    float steps, done;
  };
  float share(const std::string& phase) const;
  bool tell();

  std::function<bool(float)> go_on_;
  std::mutex mutex_;
  std::map<std::string, Phase> phases_;
  float told_ = 0;
  bool ended_ = false;
};

}  // namespace flow::tensorrt
