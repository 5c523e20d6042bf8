#include "io/file_system.h"

#include <array>
#include <cerrno>

namespace odr::io {
namespace {

constexpr std::size_t kSmallFile = 4096;

}  // namespace

Result<std::string> FileSystem::read_file(const std::string& path, std::size_t bytes_max) {
    ODR_TRY(file, open(path, OpenMode::read));
    // Most files read so are small, and thousands of them are read at a start: one call tells size and contents.
    std::array<std::uint8_t, kSmallFile> small;
    ODR_TRY(start, file->read_at(small, 0));
    if (start < small.size() && start <= bytes_max) return std::string{as_text(ByteView{small.data(), start})};
    ODR_TRY(size, file->size());
    if (size > bytes_max) return fail_errno(ErrorCode::kafka_storage_error, EFBIG, "file is larger than it may be");
    std::string out(size, '\0');
    ODR_TRY(got, file->read_at({reinterpret_cast<std::uint8_t*>(out.data()), out.size()}, 0));
    out.resize(got);
    return out;
}

Result<void> FileSystem::replace_file(MayBlock may_block, const std::string& path, ByteView contents) {
    const std::string beside = path + ".tmp";
    {
        ODR_TRY(file, open(beside, OpenMode::truncate));
        ODR_CHECK(file->write_at(contents, 0));
        ODR_CHECK(file->sync(may_block));
    }
    ODR_CHECK(rename(beside, path));
    const auto slash = path.rfind('/');
    return sync_directory(may_block, slash == std::string::npos ? "." : path.substr(0, slash));
}

}  // namespace odr::io
