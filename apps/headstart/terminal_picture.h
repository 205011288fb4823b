// Pictures in the terminal: which way of drawing it understands, and the escape sequences.
//
// Sources: Kitty's "Terminal graphics protocol"; Sixel: sixel.h; DA1 (ESC [ c): xterm's "Control Sequences".
// Thread-safety: the encoders are pure; choose_drawing() talks to the terminal and belongs to one thread. Errors: Error(kUsage) where a way
// of drawing was asked for and standard output is no terminal.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "headstart/image.h"

namespace headstart::cli {

enum class Drawing { kAuto, kKitty, kSixel, kNone };

// What the environment says of the terminal: kKitty, kNone (it is known to draw nothing), or kAuto: it has to be asked. Within tmux and
// screen the variables of the terminal around them mean nothing.
Drawing drawing_by_environment();

// Whether an answer to DA1 ("\x1b[?62;4;22c") names Sixel: attribute 4.
bool answer_names_sixel(std::string_view answer);

// What to do for standard output: kNone where it is no terminal. Asks the terminal only when it is also standard input, for at most half a
// second, with echo and line mode off meanwhile. Never returns kAuto.
Drawing choose_drawing(Drawing asked);

// An image of at most `width` pixels, in proportion (exact resize); the same one when it is not wider.
Image shrink_to_width(Image image, int width);

// Pixels that standard output's terminal is wide; where it does not say, eight a column.
int terminal_pixel_width();

// Kitty's graphics protocol: the PNG as base64 in chunks of at most 4096 bytes, placed at the cursor; the terminal is asked not to answer.
std::string kitty_text(std::span<const std::byte> png);

// The whole sequence for one way of drawing, ending below the picture; "" for kNone.
std::string picture_text(const Image& image, Drawing drawing);

}  // namespace headstart::cli
