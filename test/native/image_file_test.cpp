// The file of a release's images: what tools/cmake/pack_images.py packs is read back, and a damaged file is an error.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "cuda/image_file.h"
#include "cuda/lzma.h"
#include "ops/error.h"

using namespace flow;
using namespace flow::cuda;

namespace {

std::vector<unsigned char> from_hex(std::string_view hex) {
  std::vector<unsigned char> bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<unsigned char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

std::string text_of(const std::vector<unsigned char>& bytes) { return {bytes.begin(), bytes.end()}; }

/// The squares of 0 to 119, 574 bytes.
std::string squares() {
  std::string text;
  for (int i = 0; i < 120; i++) text += std::to_string(i * i) + " ";
  return text;
}

// Streams of liblzma.
constexpr std::string_view flow_packed = "00331b0a43e916a11839f5d9fffffad26000";
constexpr std::string_view squares_packed =
    "0018080286492e680e26ce2bf19262f910ba6230b6584dea5f9727411f001d429abc6ed412ca9fa91ac9c09931458b5215bf6c77e300d1"
    "1e6f25775aa12e04e3e83b806ab49142cd15ffedaa3a038f39764c6e312e94236f69717c20c456bd1b09f6f20e9a733053991e5100d8ac"
    "2e314f3152222de725ecd52e2f9c132c3e7580008449982244ef42dc47964b23e7865a7bbd6ec09f56b48baa38ec26a5f02ae76dca2cc2"
    "5105ddeeddc6c7dd254d52dfd99de06f0ffb9dbc88096a98b3eee62e70f03ca8f246652f9faff6d05613280c3af1042057bf0eec16a147"
    "c71d1abc565665fe0d962d376cc92860a41cdced229f17347efd0640f3803a27a7de6e1d70e30b761ba6dc07d0f0a6689e5de2ce73ddba"
    "8b7512fdad58fdb9ae838a71cfd3a41c4f5a5a26a6ef2ffaedc84215fff0e21ea8";

const check::Register kinds("a stream is unpacked", [] {
  check::that(text_of(unpack_lzma(from_hex(flow_packed), 16)) == "flow, flow, flow", "flow");
  check::that(text_of(unpack_lzma(from_hex(squares_packed), squares().size())) == squares(), "squares");
});

bool is_refused(const std::vector<unsigned char>& packed, std::size_t size) {
  try {
    unpack_lzma(packed, size);
    return false;
  } catch (const Error& error) {
    return error.code() == ErrorCode::device && std::string_view(error.what()).find("damaged") != std::string::npos;
  }
}

const check::Register damaged("a stream that is cut off, or of another size, is refused", [] {
  const std::vector<unsigned char> whole = from_hex(squares_packed);
  const std::size_t size = squares().size();
  check::that(is_refused(whole, size - 1) && is_refused(whole, size + 1), "another size");
  for (std::size_t length = 0; length < whole.size(); length++) {
    check::that(is_refused({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)}, size), length,
                " bytes");
  }
});

const check::Register flipped("a stream with a wrong bit is refused, or has the size that was asked for", [] {
  const std::vector<unsigned char> whole = from_hex(squares_packed);
  const std::size_t size = squares().size();
  int refused = 0;
  for (std::size_t bit = 0; bit < 8 * whole.size(); bit++) {
    std::vector<unsigned char> wrong = whole;
    wrong[bit / 8] ^= static_cast<unsigned char>(1U << bit % 8);
    if (is_refused(wrong, size)) {
      refused++;
    } else {
      check::that(unpack_lzma(wrong, size).size() == size, "bit ", bit, ": another size");
    }
  }
  check::that(refused > 100, "only ", refused, " are refused");
});

/// 300 kB that take all that LZMA has: literals, runs, matches near and far and of any length, and matches that differ
/// in a byte or two, which use the last distances.
std::string many_kinds() {
  std::minstd_rand random(7);
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random()) % bound; };
  std::string text = std::string("\x7f", 1) + "ELF" + std::string(5000, '\0');
  while (text.size() < 300'000) {
    if (below(3) == 0) {
      for (std::size_t i = below(60); i > 0; i--) text += static_cast<char>(below(256));
      continue;
    }
    const std::size_t from = below(text.size()), changed = below(8);
    std::string again = text.substr(from, 1 + below(below(9) == 0 ? 2000 : 40));
    for (std::size_t i = 0; i < changed; i++) again[below(again.size())] = static_cast<char>(below(256));
    text += again;
  }
  return text;
}

// ---- the file ----------------------------------------------------------------------------------------------------

/// A folder with a file of three images, removed at the end.
struct Packed {
  std::filesystem::path folder;
  std::string code = many_kinds(), text = squares(), id;

  Packed() {
    check::need(std::system("python3 --version > /dev/null 2>&1") == 0, "python3");
    std::string name = (std::filesystem::temp_directory_path() / "flow-images-XXXXXX").string();
    check::that(mkdtemp(name.data()) != nullptr, "no folder");
    folder = name;
    write("a.cubin", code);
    write("b.cubin", text);
    write("c.ptx", text + code);
    write("list", "sm_86 11040 first " + path("a.cubin") + "\nsm_86 11040 second " + path("b.cubin") +
                      "\ncompute_80 11050 first " + path("c.ptx") + "\n");
    const std::string command = "python3 " FLOW_PACK_IMAGES " " + path("list") + " " + path("bin") + " " + path("id.h");
    check::that(std::system(command.c_str()) == 0, command);
    const std::string define = read("id.h");
    const std::size_t quote = define.find('"');
    id = define.substr(quote + 1, define.rfind('"') - quote - 1);
  }
  ~Packed() { std::filesystem::remove_all(folder); }
  Packed(const Packed&) = delete;
  Packed& operator=(const Packed&) = delete;

  std::string path(const char* name) const { return (folder / name).string(); }
  void write(const char* name, const std::string& content) const {
    std::ofstream(path(name), std::ios::binary) << content;
  }
  std::string read(const char* name) const {
    std::ifstream file(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

const check::Register round_trip("a file holds the images that were packed, by architecture", [] {
  const Packed packed;
  const ImageFile file = ImageFile::read(packed.path("bin"), packed.id);
  check::that(file.error.empty(), file.error);
  check::that(architectures(file.sets) == "sm_86 compute_80", architectures(file.sets));
  check::that(file.sets[0].driver == 11040 && file.sets[1].driver == 11050, "the drivers");
  check::that(file.sets[0].images.size() == 2 && file.sets[1].images.size() == 1, "the numbers");
  const auto is = [](const KernelImage& image, std::string_view name, const std::string& content) {
    check::that(image.name == name, image.name);
    check::that(text_of(unpack(image)) == content + '\0', name, " is another");
  };
  is(file.sets[0].images[0], "first", packed.code);
  is(file.sets[0].images[1], "second", packed.text);
  is(file.sets[1].images[0], "first", packed.text + packed.code);
});

const check::Register wrong_file("a file that is missing, cut off or another version's says so", [] {
  const Packed packed;
  const auto expect = [&](const std::string& path, const std::string& id, std::string_view part) {
    const ImageFile file = ImageFile::read(path, id);
    check::that(file.sets.empty() && file.error.find(part) != std::string::npos, "\"", file.error, "\" is not ", part);
    check::that(file.error.find("install the package again") != std::string::npos, "no remedy");
  };
  expect(packed.path("none"), packed.id, "cannot be read");
  expect(packed.path("bin"), "another", "of another version");
  const std::string whole = packed.read("bin");
  for (std::size_t size = 1; size < whole.size(); size += 1 + whole.size() / 300) {
    packed.write("part", whole.substr(0, size));
    expect(packed.path("part"), packed.id, "cut off");
  }
});

const check::Register wrong_entry("an entry that cannot be true is refused", [] {
  const Packed packed;
  constexpr std::size_t header = 24 + 32 + 8, name = header + 24, unpacked_size = name + 40 + 16;
  const auto expect_damaged = [&](std::size_t at, const std::string& bytes) {
    std::string wrong = packed.read("bin");
    packed.write("wrong", wrong.replace(at, bytes.size(), bytes));
    const ImageFile file = ImageFile::read(packed.path("wrong"), packed.id);
    check::that(file.sets.empty() && file.error.find("are damaged") != std::string::npos, at, ": \"", file.error, "\"");
  };
  expect_damaged(header, std::string(24, 'x'));
  expect_damaged(name, std::string(40, 'x'));
  expect_damaged(unpacked_size, std::string("\0\0\0\0\0\x01\0\0", 8));
  expect_damaged(unpacked_size, std::string(8, '\xff'));
});

}  // namespace
