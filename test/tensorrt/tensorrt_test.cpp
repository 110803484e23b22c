#include <limits>

#include "../native/check.h"
#include "model/backbone_trial.h"
#include "tensorrt/library.h"
#include "tensorrt/progress.h"

namespace flow {

namespace {

using tensorrt::Progress;

const check::Register versions("A version of TensorRT that computes DINOv3 wrongly, or that is not known, is refused", [] {
  for (const tensorrt::Version version : {tensorrt::Version{10, 6, 0}, {10, 16, 1}, {10, 99, 0}, {11, 0, 0}, {11, 4, 1}}) {
    const std::string reason = refusal(version);
    check::that(reason.empty(), version.text(), " ", reason);
  }
  struct Refused {
    tensorrt::Version version;
    const char* reason;
  };
  for (const auto& [version, reason] : {Refused{{8, 6, 1}, "is too old"},
                                        {{9, 3, 0}, "is too old"},
                                        {{10, 0, 0}, "computes DINOv3 wrongly"},
                                        {{10, 3, 0}, "on JetPack 6, 10.7"},
                                        {{10, 5, 9}, "install 10.6.0 or newer"},
                                        {{12, 0, 0}, "is newer than this package knows"}}) {
    const std::string told = refusal(version);
    check::that(told.find(reason) != std::string::npos, version.text(), " ", told, ": not '", reason, "'");
  }
});

/// The shares that a progress tells, and whether it goes on.
struct Told {
  std::vector<float> shares;
  float end_at = std::numeric_limits<float>::infinity();
  Progress progress{[this](float share) {
    shares.push_back(share);
    return share < end_at;
  }};
};

const check::Register shares("The share of a build that is done counts the steps of phases in phases, and never falls", [] {
  Told told;
  Progress& progress = told.progress;
  progress.phase_start("build", nullptr, 2);
  progress.phase_start("layers", "build", 4);
  progress.step_complete("layers", 0);
  check::that(told.shares.back() == 1 / 8.F, "a quarter of a half is ", told.shares.back());
  progress.phase_start("tactics", "layers", 2);
  progress.step_complete("tactics", 0);
  check::that(told.shares.back() == 1 / 8.F + 1 / 16.F, "and half of the next: ", told.shares.back());
  progress.phase_finish("tactics");
  check::that(told.shares.back() == 1 / 8.F + 1 / 16.F, "it fell to ", told.shares.back());
  progress.step_complete("layers", 3);
  progress.phase_finish("layers");
  progress.step_complete("build", 0);
  check::that(told.shares.back() == .5F, "one of two is ", told.shares.back());
  progress.phase_start("layers", "build", 0);  // phases come again, and may have no steps
  progress.step_complete("unknown", 7);
  progress.step_complete("build", 1);
  check::that(told.shares.back() == 1, "all is ", told.shares.back());
  check::that(std::ranges::is_sorted(told.shares), "the share fell");
  check::that(!progress.ended(), "it ended");
});

const check::Register end("A build ends once it is told to, and not before", [] {
  Told told;
  told.end_at = .5F;
  Progress& progress = told.progress;
  progress.phase_start("build", nullptr, 4);
  check::that(progress.step_complete("build", 0), "it ended early");
  check::that(!progress.step_complete("build", 1), "it went on");
  check::that(!progress.step_complete("build", 2), "it went on after all");
  check::that(progress.ended(), "it does not say so");
});

BackboneTrial judged(double of_picture, double of_noise, double kernels, double compiled, bool only_if_faster) {
  BackboneTrial trial{.cosines = {of_picture, of_noise}, .kernels_milliseconds = kernels, .compiled_milliseconds = compiled};
  judge(trial, "TensorRT 11.1.0", only_if_faster);
  return trial;
}

const check::Register judgement("A compiled backbone is used if it is right, and, where that is asked for, faster", [] {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  check::that(judged(.9999, .9996, 1, 2, false).used, "a right one is refused");
  check::that(judged(.9999, .9996, 2, 1, true).used, "a faster one is refused");
  struct Case {
    BackboneTrial trial;
    const char* reason;
  };
  for (const auto& [trial, reason] : {Case{judged(.9999, .9994, 1, 2, false), "0.99990 for a picture and 0.99940 for noise"},
                                      {judged(.018, .9999, 2, 1, true), "0.01800 for a picture"},
                                      {judged(nan, 1, 2, 1, false), "not finite"},
                                      {judged(1, nan, 2, 1, true), "not finite"},
                                      {judged(1, 1, 1, 1, true), "the kernels are faster: 1.00 ms a frame"}}) {
    check::that(!trial.used, "it is used: ", reason);
    check::that(trial.reason.find(reason) != std::string::npos, trial.reason, ": not '", reason, "'");
  }
});

}  // namespace

}  // namespace flow

int main(int argc, char** argv) { return check::run(argc, argv); }
