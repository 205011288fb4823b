#include "image/jpeg_entropy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace headstart {
namespace {

// The beginning of libjpeg's own jpeg_entropy_decoder (jpegint.h, which is not installed): the same since version 6 of 1995.
struct EntropyDecoder {
  void (*start_pass)(j_decompress_ptr);
  boolean (*decode_mcu)(j_decompress_ptr, JBLOCKROW*);
};

// Where coefficient k of the zigzag lies; runs that lead past the last one end there, as in libjpeg.
constexpr std::uint8_t kNaturalOrder[64 + 16] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33,
                                                 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36,
                                                 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
                                                 47, 55, 62, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63};

// What a code says. A coefficient's size is the number of bits that follow the code and give its value.
struct Code {
  std::uint8_t length = 0;  // of the code alone
  std::uint8_t total = 0;   // with the bits that follow; 0: none of the codes that the table knows
  std::uint8_t size = 0;
  std::uint8_t lead = 0;  // how far it leads along the block
};
constexpr int kToEnd = 64;  // the lead of an end of block

Code code_of(int length, int symbol, bool is_dc) {
  const int run = is_dc ? 0 : symbol >> 4, size = is_dc ? symbol : symbol & 15;
  int lead = run + 1;
  if (size == 0) lead = run == 15 ? 16 : kToEnd;
  return {static_cast<std::uint8_t>(length), static_cast<std::uint8_t>(length + size), static_cast<std::uint8_t>(size),
          static_cast<std::uint8_t>(lead)};
}

// One Huffman table.
class Table {
 public:
  // Does nothing when it is the same table as before: most photos come with the same ones.
  void prepare(const JHUFF_TBL& source, bool is_dc);
  // `bits`: what is next, from the top. total 0 for what is no code.
  Code find(std::uint64_t bits) const {
    const Code code = look_[bits >> (64 - kLookBits)];
    return code.total != 0 ? code : find_long(bits);
  }

 private:
  // 4 KiB: the four tables of a photo, the coefficients and the row of pixels under way stay in the first cache together.
  static constexpr int kLookBits = 11;

  Code find_long(std::uint64_t bits) const;

  std::array<Code, 1 << kLookBits> look_{};
  std::array<std::uint32_t, 18> code_end_{};  // by length: the first beyond its codes, times 2^(16 - length)
  std::array<std::int32_t, 17> offset_{};     // what makes a code of the length an index into symbols_
  std::array<std::uint8_t, 17> counts_{};     // as in the file, by length
  std::array<std::uint8_t, 256> symbols_{};
  bool is_dc_ = false, prepared_ = false;
};

void Table::prepare(const JHUFF_TBL& source, bool is_dc) {
  if (prepared_ && is_dc_ == is_dc && std::memcmp(counts_.data() + 1, source.bits + 1, 16) == 0 &&
      std::memcmp(symbols_.data(), source.huffval, symbols_.size()) == 0) {
    return;
  }
  prepared_ = true;
  is_dc_ = is_dc;
  std::copy(source.bits + 1, source.bits + 17, counts_.begin() + 1);
  std::copy(std::begin(source.huffval), std::end(source.huffval), symbols_.begin());
  look_.fill({});
  std::uint32_t code = 0;
  std::size_t index = 0;
  for (int length = 1; length <= 16; ++length, code <<= 1) {
    const auto place = static_cast<std::size_t>(length);
    offset_[place] = static_cast<std::int32_t>(index) - static_cast<std::int32_t>(code);
    for (int i = 0; i < counts_[place]; ++i, ++code, ++index) {
      if (length > kLookBits) continue;
      const int free = kLookBits - length;
      const auto first = look_.begin() + static_cast<std::ptrdiff_t>(code << free);
      std::fill(first, first + (std::ptrdiff_t{1} << free), code_of(length, symbols_[index], is_dc));
    }
    code_end_[place] = code << (16 - length);
  }
  code_end_[17] = std::numeric_limits<std::uint32_t>::max();
}

Code Table::find_long(std::uint64_t bits) const {
  const auto code = static_cast<std::uint32_t>(bits >> 48);
  std::size_t length = kLookBits + 1;  // look_ knows the shorter ones
  while (code >= code_end_[length]) ++length;
  if (length > 16) return {};
  const std::int32_t index = static_cast<std::int32_t>(code >> (16 - length)) + offset_[length];
  return code_of(static_cast<int>(length), symbols_[static_cast<std::size_t>(index)], is_dc_);
}

bool has_ff(std::uint64_t bytes) {
  constexpr std::uint64_t kOnes = 0x0101010101010101, kHighs = 0x8080808080808080;
  return ((~bytes - kOnes) & bytes & kHighs) != 0;
}

std::uint64_t load_big_endian(const std::uint8_t* from) {
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, from, sizeof bytes);
  return std::endian::native == std::endian::little ? __builtin_bswap64(bytes) : bytes;
}

// The bits that are next, from the top. `padding` of them, the last, are zeros that the file does not have.
struct Bits {
  std::uint64_t buffer = 0;
  int count = 0;
  int padding = 0;
  const std::uint8_t* next = nullptr;
  const std::uint8_t* end = nullptr;

  void drop(int bits) {
    buffer <<= bits;
    count -= bits;
  }
};

// A byte FF is followed by 00; anything else there is a marker, and zeros are given in the place of what would follow it.
Bits filled_bytewise(Bits bits) {
  bits.buffer = bits.count == 0 ? 0 : bits.buffer >> (64 - bits.count) << (64 - bits.count);  // filled() leaves parts of bytes below
  for (; bits.count <= 56; bits.count += 8) {
    std::uint64_t byte = 0;
    if (bits.next < bits.end && *bits.next != 0xFF) {
      byte = *bits.next++;
    } else if (bits.end - bits.next >= 2 && bits.next[1] == 0) {
      byte = 0xFF;
      bits.next += 2;
    } else {
      bits.padding += 8;
    }
    bits.buffer |= byte << (56 - bits.count);
  }
  return bits;
}

// With 56 bits at least. By value, as all that has to do with bits: a reference would keep them in memory.
inline Bits filled(Bits bits) {
  if (bits.end - bits.next >= 8) {
    const std::uint64_t bytes = load_big_endian(bits.next);
    if (!has_ff(bytes)) [[likely]] {
      bits.buffer |= bytes >> bits.count;
      bits.next += (63 - bits.count) >> 3;
      bits.count |= 56;
      return bits;
    }
  }
  return filled_bytewise(bits);
}

// The number that the first `size` bits, at least one, stand for: the upper half of their range is positive, the lower half negative.
inline std::int32_t value_of(std::uint64_t bits, int size) {
  const auto raw = static_cast<std::int32_t>(bits >> (64 - size));
  const auto negative = ~static_cast<std::int32_t>(static_cast<std::int64_t>(bits) >> 63);
  return raw - (negative & ((1 << size) - 1));
}

struct BlockPlan {
  const Table* dc = nullptr;
  const Table* ac = nullptr;
  std::size_t component = 0;
  bool wants_ac = true;
};

// One block of quantised coefficients: take(place, bits, size) gets those that are not zero, each the value of the first `size` bits.
// `sound` becomes false at what is no code.
template <typename Take>
inline Bits decode_ac(const Table& table, Bits bits, bool& sound, const Take& take) {
  for (int k = 1; k < 64;) {
    if (bits.count < 32) bits = filled(bits);
    const Code code = table.find(bits.buffer);
    k += code.lead;
    if (code.size != 0) [[likely]] {
      take(kNaturalOrder[k - 1], bits.buffer << code.length, code.size);
    } else if (code.total == 0) [[unlikely]] {
      sound = false;
      return bits;
    }
    bits.drop(code.total);
  }
  return bits;
}

// For what nobody needs the values of.
constexpr auto kPassOver = [](std::uint8_t /*place*/, std::uint64_t /*bits*/, int /*size*/) {};

inline Bits decode_dc(const Table& table, Bits bits, std::int32_t& last_dc, bool& sound) {
  if (bits.count < 32) bits = filled(bits);
  const Code code = table.find(bits.buffer);
  if (code.size != 0) last_dc += value_of(bits.buffer << code.length, code.size);
  bits.drop(code.total);
  sound = code.total != 0 && last_dc == static_cast<JCOEF>(last_dc);
  return bits;
}

// Of a block in JpegIndex::coefficients: its DC, the number of words that follow, these.
constexpr std::size_t kHeadWords = 2, kMostBlockWords = kHeadWords + 2 * std::size_t{63};
constexpr int kPlaceBits = 6;
constexpr std::int32_t kLargestInWord = 511, kEscape = -512;

// A block of them into `out`, which is zero; returns what follows the block.
inline const std::uint16_t* expand(const std::uint16_t* words, bool wants_ac, JCOEF* out) {
  const std::uint16_t* const end = words + kHeadWords + words[1];
  out[0] = static_cast<JCOEF>(words[0]);
  if (!wants_ac) return end;
  for (words += kHeadWords; words != end; ++words) {
    JCOEF& coefficient = out[*words & ((1 << kPlaceBits) - 1)];
    const std::int32_t value = static_cast<std::int16_t>(*words) >> kPlaceBits;
    coefficient = static_cast<JCOEF>(value != kEscape ? value : *++words);
  }
  return end;
}

}  // namespace

struct JpegEntropy::State {
  GiveUp give_up = nullptr;
  Bits bits;
  std::array<std::int32_t, MAX_COMPS_IN_SCAN> last_dc{};
  std::array<BlockPlan, D_MAX_BLOCKS_IN_MCU> plans{};
  std::size_t blocks_in_mcu = 0;
  unsigned restart_interval = 0, restarts_to_go = 0;
  int next_restart = 0;

  // libjpeg asks for one MCU after the other; those that nobody needs are passed over when a later one is needed, if at all.
  std::uint32_t asked = 0;    // the MCU that libjpeg asks for next
  std::uint32_t column = 0;   // its column
  std::uint32_t reached = 0;  // the one that begins at `bits`
  std::uint32_t mcus = 0, mcus_per_row = 0, pixels_per_mcu = 0;
  std::uint32_t first_column = 0, end_column = 0;  // MCUs of each row that are needed

  const std::uint8_t* scan = nullptr;
  JpegIndex* index = nullptr;
  bool is_kept = false;  // the index has the coefficients

  // Of the MCUs before `reached`, where the index asks for its coefficients; what is not in use costs no memory.
  bool records = false;
  std::unique_ptr<std::uint16_t[]> words;
  std::size_t word_room = 0, word_count = 0;
  std::vector<std::uint32_t> mcu_begin;

  std::array<Table, NUM_HUFF_TBLS> dc, ac;

  static boolean decode_mcu(j_decompress_ptr decoder, JBLOCKROW* blocks);
  bool needs_asked() const { return first_column <= column && column < end_column; }
  bool go_to(std::uint32_t mcu);
  bool decode(JBLOCKROW* blocks);
  template <typename DecodeBlock>
  bool decode_blocks(const DecodeBlock& decode_block);
  bool pass_over();
  bool store(JBLOCKROW* blocks);
  bool record();
  void expand_mcu(const std::uint16_t* from, JBLOCKROW* blocks) const;
  void prepare_recording();
  bool restart();
  void note_point();
  void enter(std::uint32_t point);
};

// The marker that must follow the last MCU of an interval.
bool JpegEntropy::State::restart() {
  if (bits.count - bits.padding >= 8 || bits.end - bits.next < 2) return false;
  if (bits.next[0] != 0xFF || bits.next[1] != 0xD0 + next_restart) return false;
  bits = {.next = bits.next + 2, .end = bits.end};
  last_dc.fill(0);
  next_restart = (next_restart + 1) & 7;
  restarts_to_go = restart_interval;
  return true;
}

// The blocks of the MCU at `reached`: decode_block(plan, i, bits, sound) returns the bits behind block i's AC coefficients. False where the
// data are not sound.
template <typename DecodeBlock>
bool JpegEntropy::State::decode_blocks(const DecodeBlock& decode_block) {
  Bits local = bits;
  bool sound = true;
  for (std::size_t i = 0; i < blocks_in_mcu && sound; ++i) {
    local = decode_dc(*plans[i].dc, local, last_dc[plans[i].component], sound);
    if (sound) local = decode_block(plans[i], i, local, sound);
  }
  if (!sound) return false;
  bits = local;
  return bits.count >= bits.padding;
}

bool JpegEntropy::State::pass_over() {
  return decode_blocks(
      [](const BlockPlan& plan, std::size_t, Bits local, bool& sound) { return decode_ac(*plan.ac, local, sound, kPassOver); });
}

bool JpegEntropy::State::store(JBLOCKROW* blocks) {
  return decode_blocks([&](const BlockPlan& plan, std::size_t i, Bits local, bool& sound) {
    JCOEF* const out = *blocks[i];
    out[0] = static_cast<JCOEF>(last_dc[plan.component]);
    if (!plan.wants_ac) return decode_ac(*plan.ac, local, sound, kPassOver);
    return decode_ac(*plan.ac, local, sound,
                     [out](std::uint8_t place, std::uint64_t value, int size) { out[place] = static_cast<JCOEF>(value_of(value, size)); });
  });
}

// To the end of `words`.
bool JpegEntropy::State::record() {
  std::uint16_t* next = words.get() + word_count;
  const bool sound = decode_blocks([&](const BlockPlan& plan, std::size_t, Bits local, bool& is_sound) {
    std::uint16_t* const head = next;
    next += kHeadWords;
    local = decode_ac(*plan.ac, local, is_sound, [&next](std::uint8_t place, std::uint64_t number, int size) {
      const std::int32_t value = value_of(number, size);
      const bool fits = kEscape < value && value <= kLargestInWord;
      *next++ = static_cast<std::uint16_t>((fits ? value : kEscape) * (1 << kPlaceBits) + place);
      if (!fits) *next++ = static_cast<std::uint16_t>(value);
    });
    head[0] = static_cast<std::uint16_t>(last_dc[plan.component]);
    head[1] = static_cast<std::uint16_t>(next - head - static_cast<std::ptrdiff_t>(kHeadWords));
    return local;
  });
  mcu_begin[reached] = static_cast<std::uint32_t>(word_count);
  word_count = static_cast<std::size_t>(next - words.get());
  return sound;
}

void JpegEntropy::State::expand_mcu(const std::uint16_t* from, JBLOCKROW* blocks) const {
  for (std::size_t i = 0; i < blocks_in_mcu; ++i) from = expand(from, plans[i].wants_ac, *blocks[i]);
}

// Decodes the MCU at `reached`, into `blocks` where they are given. False where the data are not sound.
bool JpegEntropy::State::decode(JBLOCKROW* blocks) {
  if (restart_interval != 0 && restarts_to_go == 0 && !restart()) return false;
  if (index != nullptr) note_point();
  if (records) {
    if (!record()) return false;
    if (blocks != nullptr) expand_mcu(words.get() + mcu_begin[reached], blocks);
  } else if (!(blocks != nullptr ? store(blocks) : pass_over())) {
    return false;
  }
  ++reached;
  --restarts_to_go;  // counts only where there are intervals
  return true;
}

// The bits from the next whole byte on may be in `bits` already, and a byte FF is two bytes of the file: the place is found backwards.
void JpegEntropy::State::note_point() {
  if (reached % JpegIndex::kStride != 0 || reached / JpegIndex::kStride != index->points.size()) return;
  const std::uint8_t* place = bits.next;
  const int waiting = bits.count - bits.padding;
  for (int bytes = (waiting + 7) / 8; bytes > 0; --bytes) {
    --place;
    if (place - scan >= 1 && place[0] == 0 && place[-1] == 0xFF) --place;
  }
  JpegIndex::Point& point = index->points.emplace_back();  // never allocates: attach() made room
  point.byte = static_cast<std::uint32_t>(place - scan);
  point.bit = static_cast<std::uint8_t>((8 - waiting % 8) % 8);
  for (std::size_t i = 0; i < point.last_dc.size(); ++i) point.last_dc[i] = static_cast<std::int16_t>(last_dc[i]);
}

void JpegEntropy::State::enter(std::uint32_t number) {
  const JpegIndex::Point& point = index->points[number];
  bits = filled_bytewise({.next = scan + point.byte, .end = bits.end});
  bits.drop(point.bit);
  std::copy(point.last_dc.begin(), point.last_dc.end(), last_dc.begin());
  reached = number * JpegIndex::kStride;
}

bool JpegEntropy::State::go_to(std::uint32_t mcu) {
  if (index != nullptr && !index->points.empty()) {
    const auto known = static_cast<std::uint32_t>(index->points.size() - 1);
    const std::uint32_t nearest = std::min(mcu / JpegIndex::kStride, known);
    if (nearest * JpegIndex::kStride > reached) enter(nearest);
  }
  while (reached < mcu) {
    if (!decode(nullptr)) return false;
  }
  return true;
}

boolean JpegEntropy::State::decode_mcu(j_decompress_ptr decoder, JBLOCKROW* blocks) {
  auto& self = *static_cast<State*>(decoder->client_data);
  if (blocks != nullptr && self.needs_asked()) {
    if (self.is_kept) {
      self.expand_mcu(self.index->coefficients.data() + self.index->mcu_begin[self.asked], blocks);
    } else {
      if (!self.go_to(self.asked) || !self.decode(blocks)) self.give_up(decoder);
      decoder->src->next_input_byte = self.bits.next;  // for the reader of markers, which looks for the one after the scan
      decoder->src->bytes_in_buffer = static_cast<std::size_t>(self.bits.end - self.bits.next);
    }
  }
  ++self.asked;
  if (++self.column == self.mcus_per_row) self.column = 0;
  return TRUE;
}

JpegEntropy::JpegEntropy() : state_(std::make_unique<State>()) {}
JpegEntropy::~JpegEntropy() = default;

bool JpegEntropy::attach(j_decompress_ptr decoder, GiveUp give_up, JpegIndex* index) {
  if (decoder->progressive_mode != FALSE || decoder->arith_code != FALSE || jpeg_has_multiple_scans(decoder) != FALSE) return false;
  State& state = *state_;
  state.give_up = give_up;
  state.scan = decoder->src->next_input_byte;
  state.bits = {.next = state.scan, .end = state.scan + decoder->src->bytes_in_buffer};
  state.last_dc.fill(0);
  state.restart_interval = state.restarts_to_go = decoder->restart_interval;
  state.next_restart = 0;
  state.asked = state.column = state.reached = state.first_column = 0;
  state.mcus_per_row = state.end_column = decoder->MCUs_per_row;
  state.mcus = decoder->MCUs_per_row * decoder->MCU_rows_in_scan;
  // A scan of one component has a block in each MCU, whatever its sampling factors say.
  const auto factor = static_cast<unsigned>(decoder->comps_in_scan == 1 ? 1 : decoder->max_h_samp_factor);
  state.pixels_per_mcu = factor * static_cast<unsigned>(decoder->min_DCT_scaled_size);
  // Files with restarts, of four components or of 4 GiB are decoded from their beginning.
  const bool indexed = decoder->restart_interval == 0 && decoder->comps_in_scan <= 3 &&
                       decoder->src->bytes_in_buffer <= std::numeric_limits<std::uint32_t>::max();
  state.index = indexed ? index : nullptr;
  if (state.index != nullptr) index->points.reserve(state.mcus / JpegIndex::kStride + 1);
  state.blocks_in_mcu = static_cast<std::size_t>(decoder->blocks_in_MCU);
  state.is_kept = state.index != nullptr && !index->mcu_begin.empty();
  state.prepare_recording();
  for (std::size_t i = 0; i < state.blocks_in_mcu; ++i) {
    const auto component = static_cast<std::size_t>(decoder->MCU_membership[i]);
    const jpeg_component_info& info = *decoder->cur_comp_info[component];
    Table& dc = state.dc[static_cast<std::size_t>(info.dc_tbl_no)];
    Table& ac = state.ac[static_cast<std::size_t>(info.ac_tbl_no)];
    dc.prepare(*decoder->dc_huff_tbl_ptrs[info.dc_tbl_no], true);
    ac.prepare(*decoder->ac_huff_tbl_ptrs[info.ac_tbl_no], false);
    state.plans[i] = {&dc, &ac, component, info.DCT_scaled_size > 1};
  }
  decoder->client_data = &state;
  reinterpret_cast<EntropyDecoder*>(decoder->entropy)->decode_mcu = State::decode_mcu;
  return true;
}

// Room for whatever the scan may hold is made here, as nothing may allocate inside of libjpeg.
void JpegEntropy::State::prepare_recording() {
  constexpr std::size_t kMostWords = std::size_t{1} << 24;  // of photos of 5 megapixels; larger ones are shown scaled, few of their codes
  const std::size_t most = mcus * blocks_in_mcu * kMostBlockWords;
  records = index != nullptr && index->keep_coefficients && !is_kept && index->points.empty() && most <= kMostWords;
  word_count = 0;
  if (!records) return;
  mcu_begin.resize(mcus);
  if (word_room >= most) return;
  words = std::make_unique_for_overwrite<std::uint16_t[]>(most);
  word_room = most;
}

void JpegEntropy::need_columns(unsigned left, unsigned width) {
  state_->first_column = left / state_->pixels_per_mcu;
  state_->end_column = std::min((left + width + state_->pixels_per_mcu - 1) / state_->pixels_per_mcu, state_->mcus_per_row);
}

bool JpegEntropy::rest_is_sound() {
  State& state = *state_;
  if (state.index != nullptr && state.index->complete) return true;
  if (!state.go_to(state.mcus)) return false;
  const Bits& bits = state.bits;
  const bool at_end = bits.count - bits.padding < 8 && bits.end - bits.next >= 2 && bits.next[0] == 0xFF && bits.next[1] == JPEG_EOI;
  if (at_end && state.index != nullptr) state.index->complete = true;
  return at_end;
}

void JpegEntropy::keep_coefficients() {
  State& state = *state_;
  if (!state.records || !rest_is_sound()) return;
  state.index->coefficients.assign(state.words.get(), state.words.get() + state.word_count);
  state.index->mcu_begin = state.mcu_begin;
}

}  // namespace headstart
