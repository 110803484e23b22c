// Which images of the kernels a GPU gets, under which driver. The images are made up, with the headers of the release's
// (tools/cmake/kernels.cmake); the emulated driver judges them as a real one of that age would.

#include <algorithm>
#include <array>
#include <cstdlib>

#include "check.h"
#include "cuda/image_choice.h"
#include "in_child.h"
#include "made_images.h"

using namespace flow;
using namespace flow::cuda;
using namespace flow::made_images;

namespace {

/// Sets of one image each.
class Sets {
 public:
  Sets& add(const char* architecture, int driver, std::string image) {
    images_.push_back({architecture, driver, std::move(image)});
    return *this;
  }
  /// They live as long as this object, which must not grow meanwhile.
  std::vector<ImageSet> all() {
    files_.clear();
    for (const Image& image : images_) files_.push_back({"kernel", image.bytes.c_str(), image.bytes.size()});
    std::vector<ImageSet> sets;
    for (std::size_t i = 0; i < images_.size(); i++) {
      sets.push_back({images_[i].architecture, images_[i].driver, {&files_[i], 1}});
    }
    return sets;
  }

 private:
  struct Image {
    const char* architecture;
    int driver;
    std::string bytes;
  };
  std::vector<Image> images_;
  std::vector<KernelImage> files_;
};

constexpr std::array machine_code_of_11{75, 80, 86, 87, 89, 90};
constexpr std::array names_of_11{"sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90"};
constexpr std::array machine_code_of_13{100, 110, 120};
constexpr std::array names_of_13{"sm_100", "sm_110", "sm_120"};

std::string compressed(int sm) {
  return fatbin({{.text = false, .major = 1, .minor = 8, .sm = sm, .compression = Compression::zstandard}});
}

/// As a release.
Sets release() {
  Sets sets;
  for (std::size_t i = 0; i < names_of_11.size(); i++) sets.add(names_of_11[i], 11040, cubin(7, machine_code_of_11[i]));
  for (std::size_t i = 0; i < names_of_13.size(); i++)
    sets.add(names_of_13[i], 13000, compressed(machine_code_of_13[i]));
  return sets.add("compute_75", 11040, ptx("7.4", "75")).add("compute_80", 11040, ptx("7.4", "80"));
}

/// As a build with CUDA 13 alone.
Sets build_of_13() {
  Sets sets;
  sets.add("sm_80", 13000, fatbin({{.text = false, .major = 1, .minor = 8, .sm = 80}}));
  return sets.add("compute_80", 11040, ptx("7.4", "80")).add("compute_90", 13000, ptx("9.0", "90"));
}

DeviceInfo gpu(int major, int minor, bool integrated = false) {
  return {.name = "GPU",
          .index = 0,
          .capability_major = major,
          .capability_minor = minor,
          .multiprocessors = 1,
          .shared_per_block = 0,
          .shared_per_multiprocessor = 0,
          .l2 = 0,
          .memory = 0,
          .integrated = integrated};
}

void expect_text(const std::string& text, std::string_view part) {
  check::that(text.find(part) != text.npos, "\"", text, "\" does not say \"", part, "\"");
}

std::string names(const std::vector<const ImageSet*>& sets) {
  std::vector<ImageSet> copies;
  for (const ImageSet* set : sets) copies.push_back(*set);
  return architectures(copies);
}

// ---- the choice --------------------------------------------------------------------------------------------------

const check::Register order("a GPU prefers its own machine code, then that of lower minor capabilities, then PTX", [] {
  Sets made = release();
  const auto sets = made.all();
  const auto under_13 = [&](int major, int minor) { return names(candidates(sets, 13000, gpu(major, minor))); };
  check::that(under_13(8, 9) == "sm_89 sm_86 sm_80 compute_80 compute_75", under_13(8, 9));
  check::that(under_13(8, 0) == "sm_80 compute_80 compute_75", under_13(8, 0));
  check::that(under_13(10, 3) == "sm_100 compute_80 compute_75", under_13(10, 3));
  check::that(under_13(12, 1) == "sm_120 compute_80 compute_75", under_13(12, 1));
  check::that(under_13(13, 0) == "compute_80 compute_75", under_13(13, 0));
});

const check::Register tegra("a Tegra runs no other GPU's machine code, and no other GPU a Tegra's", [] {
  Sets made = release();
  const auto sets = made.all();
  check::that(names(candidates(sets, 13000, gpu(8, 7))) == "sm_87 compute_80 compute_75", "Orin");
  check::that(names(candidates(sets, 13000, gpu(11, 0))) == "sm_110 compute_80 compute_75", "Thor");
  check::that(names(candidates(sets, 13000, gpu(8, 8))).find("sm_87") == std::string::npos, "sm_87 elsewhere");
});

const check::Register suffixes("sm_90a runs on 9.0 alone, sm_100f on all of its major capability", [] {
  Sets made;
  const auto sets = made.add("sm_90a", 13000, "").add("sm_100f", 13000, "").add("compute_90a", 13000, "").all();
  check::that(names(candidates(sets, 13000, gpu(9, 0))) == "sm_90a compute_90a", "9.0");
  check::that(names(candidates(sets, 13000, gpu(10, 3))) == "sm_100f", "10.3");
  check::that(candidates(sets, 13000, gpu(12, 0)).empty(), "12.0");
});

const check::Register early("kernels begin before others are done only if they wait: image, GPU and driver are for it",
                            [] {
                              const auto may = [](const char* architecture, int driver, int major) {
                                return may_launch_programmatically({architecture, 11040, {}}, driver, gpu(major, 0));
                              };
                              for (const char* waits : {"sm_90", "sm_90a", "compute_90"}) {
                                check::that(may(waits, 12030, 9), waits);
                                check::that(!may(waits, 12020, 9), waits, " under a driver that cannot record it");
                              }
                              check::that(may("compute_90", 13000, 12), "PTX of 9.0 on a later GPU");
                              for (const char* old : {"sm_80", "compute_80", "sm_89", "compute_75"}) {
                                check::that(!may(old, 13000, 9), old, " has no wait");
                              }
                              check::that(!may("compute_90", 13000, 8), "a GPU before 9.0");
                            });

const check::Register compiled_for("kernels have what they were compiled for, whatever the GPU", [] {
  for (const auto& [architecture, capability] :
       {std::pair{"sm_75", 75}, {"compute_80", 80}, {"sm_90a", 90}, {"sm_100f", 100}, {"compute_120", 120}}) {
    check::that(capability_of({architecture, 11040, {}}) == capability, architecture);
  }
});

const check::Register drivers("a set that needs a newer driver is no candidate", [] {
  Sets made = build_of_13();
  const auto sets = made.all();
  check::that(names(candidates(sets, 12090, gpu(9, 0))) == "compute_80", "12.9");
  check::that(names(candidates(sets, 13000, gpu(9, 0))) == "compute_90 compute_80", "13.0");
});

// ---- the sentences -----------------------------------------------------------------------------------------------

const check::Register too_old("a driver that is too old for the only kernels hears how new it must be", [] {
  Sets made;
  const auto sets = made.add("sm_120", 13000, "").add("sm_80", 11040, "").all();
  const std::string why = why_no_candidates(sets, 12080, gpu(12, 0));
  expect_text(why, "the driver is too old: it is for CUDA 12.8");
  expect_text(why, "GPU (compute capability 12.0) in this build, sm_120, need one for CUDA 13.0");
  expect_text(why, "which is driver 580 or newer; update the driver");
  expect_text(why_no_candidates(sets, 12080, gpu(12, 0, true)), "update JetPack");
});

const check::Register none_for_gpu("a GPU without kernels hears what there is, and what to do", [] {
  Sets made;
  const auto sets = made.add("sm_90a", 13000, "").add("sm_120", 13000, "").all();
  const std::string why = why_no_candidates(sets, 13000, gpu(8, 6));
  expect_text(why, "kernels for sm_90a sm_120, and GPU (compute capability 8.6) can run none of them");
  expect_text(why, "build the addon on this machine, with nvcc");
  const std::string old = why_no_candidates(sets, 13000, gpu(6, 1));
  expect_text(old, "GPUs of compute capability 7.5 and later are supported");
  check::that(old.find("nvcc") == old.npos, "advice that does not help");
});

#ifdef FLOW_EMULATOR
// ---- on the emulated driver --------------------------------------------------------------------------------------

/// The architecture that a release's, or another build's, kernels are loaded of; or the error.
std::string chosen(const char* driver_version, const char* capability, Sets made = release(),
                   const char* faults = nullptr) {
  return in_child([&]() -> std::string {
    setenv("DINOV3_FLOW_CUDA_DRIVER", FLOW_EMULATOR, 1);
    setenv("EMULATOR_DRIVER_VERSION", driver_version, 1);
    setenv("EMULATOR_CAPABILITY", capability, 1);
    if (faults != nullptr) setenv("EMULATOR_FAIL", faults, 1);
    try {
      const auto sets = made.all();
      return choose_images(*Context::of(0), sets).architecture;
    } catch (const Error& error) {
      return error.code() == ErrorCode::device ? error.what() : std::string("another code: ") + error.what();
    }
  });
}

// What a release does under the drivers that people have. A driver shows no GPU that is newer than itself, so there are
// cells without a GPU: they get a sentence, which names the driver's version and says that it may be too old.
constexpr const char* no_gpu = nullptr;
constexpr std::array capabilities{"7.5", "8.0", "8.6", "8.7", "8.9", "9.0", "10.0", "11.0", "12.0"};
struct Row {
  const char *version, *name;
  std::array<const char*, 9> expected;
};
constexpr Row table[] = {
    {"11040", "11.4", {"sm_75", "sm_80", "sm_86", "sm_87", no_gpu, no_gpu, no_gpu, no_gpu, no_gpu}},
    {"12020", "12.2", {"sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90", no_gpu, no_gpu, no_gpu}},
    {"12060", "12.6", {"sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90", no_gpu, no_gpu, no_gpu}},
    {"13000", "13.0", {"sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90", "sm_100", "sm_110", "sm_120"}},
};

void register_cell(const Row& row, std::size_t column) {
  const char* const capability = capabilities[column];
  const char* const expected = row.expected[column];
  const std::string title = std::string("a driver for CUDA ") + row.name + " on " + capability + ": " +
                            (expected == no_gpu ? "shows no GPU" : expected);
  const check::Register cell(title, [=, version = row.version, name = row.name] {
    const std::string got = chosen(version, capability);
    if (expected != no_gpu) return check::that(got == expected, got);
    expect_text(got, std::string("the driver, for CUDA ") + name + ", does not start: CUDA_ERROR_NO_DEVICE");
    expect_text(got, "update a driver that is older than the GPU");
  });
}

const bool cells_are_registered = [] {
  for (const Row& row : table) {
    for (std::size_t column = 0; column < capabilities.size(); column++) register_cell(row, column);
  }
  return true;
}();

const check::Register net("PTX serves where the machine code is of a newer driver", [] {
  for (const char* capability : {"10.0", "12.0"}) {
    const std::string got = chosen("12080", capability);
    check::that(got == "compute_80", got);
  }
  for (const char* driver : {"11040", "12060"}) {
    const std::string got = chosen(driver, "8.6", build_of_13());
    check::that(got == "compute_80", got);
  }
});

const check::Register second("the next set serves where a driver refuses the first", [] {
  // It claims to be for this driver, and is not.
  const auto sets = [] {
    return Sets()
        .add("sm_86", 11040, cubin(8, 86))
        .add("sm_80", 11040, cubin(7, 80))
        .add("compute_80", 11040, ptx("7.4", "80"));
  };
  check::that(chosen("12060", "8.6", sets()) == "sm_80", "the first is refused");
  check::that(chosen("12060", "8.6", sets(), "cuModuleLoadData:1:209,cuModuleLoadData:2:200") == "compute_80",
              "two are refused");
});

const check::Register refused("a driver that refuses all is quoted on each", [] {
  const std::string got =
      chosen("12060", "8.6", Sets().add("sm_86", 11040, cubin(8, 86)).add("compute_80", 11040, ptx("9.0", "80")));
  expect_text(got, "the driver, for CUDA 12.6, refuses this build's kernels for Emulated GPU (compute capability 8.6)");
  expect_text(got, "sm_86: CUDA_ERROR_INVALID_IMAGE");
  expect_text(got, "compute_80: CUDA_ERROR_UNSUPPORTED_PTX_VERSION");
  expect_text(got, "update the driver");
});

const check::Register other_error("an error that is no refusal is told at once", [] {
  expect_text(chosen("13000", "8.6", release(), "cuModuleLoadData:1:719"), "cuModuleLoadData");
});
#endif

}  // namespace

int main(int argc, char** argv) { return check::run(argc, argv); }
