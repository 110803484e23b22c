#include "cuda/image_file.h"

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string_view>

#ifdef __linux__
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace flow::cuda {

namespace {

struct Header {
  char magic[24];
  char id[32];
  std::uint64_t count;
};

struct Entry {
  char architecture[24];
  char name[40];
  std::uint64_t offset, size, unpacked_size, driver;
};

/// Bytes of an image when it is unpacked: more than ten times the largest of a release. A damaged file may name any
/// number.
constexpr std::uint64_t largest_image = 256 << 20;

#ifdef __linux__

/// The file's bytes; empty if it cannot be read.
std::span<const char> map(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  struct stat status {};
  void* bytes = MAP_FAILED;
  if (fstat(file, &status) == 0 && status.st_size > 0) {
    bytes = mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, file, 0);
  }
  close(file);
  if (bytes == MAP_FAILED) return {};
  return {static_cast<const char*>(bytes), static_cast<std::size_t>(status.st_size)};
}

std::filesystem::path folder_of_this_code() {
  static const char here = 0;
  Dl_info info{};
  return dladdr(&here, &info) != 0 && info.dli_fname != nullptr ? std::filesystem::path(info.dli_fname).parent_path()
                                                                : "";
}

#else

std::span<const char> map(const std::string&) { return {}; }
std::filesystem::path folder_of_this_code() { return ""; }

#endif

}  // namespace

ImageFile ImageFile::read(const std::string& path, const std::string& id) {
  ImageFile file;
  const std::span<const char> bytes = map(path);
  const auto refuse = [&](const std::string& why) {
    return ImageFile{{}, {}, "the kernels, " + path + ", " + why + "; install the package again"};
  };
  if (bytes.empty()) return refuse("cannot be read");
  Header header{};
  if (bytes.size() < sizeof header) return refuse("are cut off");
  std::memcpy(&header, bytes.data(), sizeof header);
  header.magic[sizeof header.magic - 1] = header.id[sizeof header.id - 1] = '\0';
  if (std::string_view(header.magic) != "dinov3-flow images 2" || header.id != id) {
    return refuse("are of another version than the addon");
  }
  if (header.count > (bytes.size() - sizeof header) / sizeof(Entry)) return refuse("are cut off");
  // The mapping begins at a page, so the entries are aligned.
  const std::span entries(reinterpret_cast<const Entry*>(bytes.data() + sizeof header), header.count);
  for (const Entry& entry : entries) {
    if (entry.offset > bytes.size() || entry.size > bytes.size() - entry.offset) return refuse("are cut off");
    if (entry.unpacked_size > largest_image || std::end(entry.architecture)[-1] != 0 || std::end(entry.name)[-1] != 0) {
      return refuse("are damaged");
    }
    file.images.push_back({entry.name, bytes.data() + entry.offset, entry.size, entry.unpacked_size});
  }
  for (std::size_t i = 0; i < entries.size();) {
    std::size_t end = i;
    while (end < entries.size() && std::strcmp(entries[end].architecture, entries[i].architecture) == 0) end++;
    file.sets.push_back(
        {entries[i].architecture, static_cast<int>(entries[i].driver), std::span(file.images).subspan(i, end - i)});
    i = end;
  }
  return file;
}

std::string image_file_path() {
  const std::filesystem::path folder = folder_of_this_code();
  std::error_code ignored;
  const auto beside = folder / "kernels.bin";
  return std::filesystem::exists(beside, ignored) ? beside : folder.parent_path() / "kernels.bin";
}

}  // namespace flow::cuda
