// The style sheet of report.html. Two palettes by custom properties; blue is right and orange is wrong throughout, which also people with
// red-green blindness tell apart.
#include "report/report_parts.h"

namespace headstart {
namespace {

constexpr const char* kPalettes = R"css(
:root{color-scheme:light dark;--paper:#fff;--panel:#f6f8fa;--ink:#1f2328;--soft:#59636e;--line:#d8dee4;--grid:#e9edf1;
--blue:#2563eb;--orange:#c8620a;--blue-hsl:221 83% 53%;--orange-hsl:27 91% 48%;--on-strong:#ffffff;--shade:0 1px 2px rgb(31 35 40/.06)}
@media (prefers-color-scheme:dark){:root{--paper:#0f1318;--panel:#171c23;--ink:#e6edf3;--soft:#97a3b0;--line:#2d353f;--grid:#222932;
--blue:#6ea1ff;--orange:#f0914a;--blue-hsl:217 85% 55%;--orange-hsl:27 85% 50%;--on-strong:#ffffff;--shade:none}}
)css";

constexpr const char* kType = R"css(
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main,header,footer{max-width:1080px;margin:0 auto;padding:0 24px}
header{padding-top:40px}
h1{font-size:2rem;line-height:1.2;margin:.1em 0 .2em;letter-spacing:-.02em;overflow-wrap:anywhere}
h2{font-size:1.3rem;line-height:1.3;margin:0 0 .7em;letter-spacing:-.01em}
h3{font-size:1rem;margin:1.6em 0 .6em}
p{margin:.4em 0 1em;max-width:72ch}
a{color:var(--blue);text-decoration:none}a:hover{text-decoration:underline}
.soft,figcaption,footer{color:var(--soft)}
.label{color:var(--soft);font-size:.8rem;letter-spacing:.06em;text-transform:uppercase}
nav{display:flex;flex-wrap:wrap;gap:4px 18px;margin:18px 0 0;padding-bottom:14px;border-bottom:1px solid var(--line);font-size:.9rem}
section{margin:44px 0}
footer{border-top:1px solid var(--line);padding-top:18px;padding-bottom:40px;font-size:.85rem}
code,pre,.path{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
code,.path{font-size:.86em;overflow-wrap:anywhere}
pre{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:14px 16px;overflow-x:auto;
font-size:.85rem;line-height:1.5;margin:0 0 1em}
)css";

constexpr const char* kHero = R"css(
.hero{display:grid;grid-template-columns:minmax(280px,5fr) 7fr;gap:20px 40px;align-items:center;margin:32px 0 0}
.figure{font-size:4.2rem;font-weight:700;line-height:1;letter-spacing:-.04em;margin:.08em 0 .1em;font-variant-numeric:tabular-nums}
.interval{position:relative;height:10px;border-radius:5px;background:var(--grid);margin:18px 0 6px}
.interval i{position:absolute;top:0;bottom:0;border-radius:5px;background:hsl(var(--blue-hsl)/.35);min-width:4px}
.interval b{position:absolute;top:-4px;width:4px;margin-left:-2px;height:18px;border-radius:2px;background:var(--blue)}
.scale{display:flex;justify-content:space-between;font-size:.75rem;color:var(--soft)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:0}
.facts div{background:var(--panel);border:1px solid var(--line);border-radius:10px;padding:12px 14px;box-shadow:var(--shade)}
.facts dt{color:var(--soft);font-size:.82rem}
.facts dd{margin:0;font-size:1.25rem;font-weight:600;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
.facts small{display:block;font-size:.8rem;font-weight:400;color:var(--soft)}
)css";

constexpr const char* kCharts = R"css(
.charts{display:grid;grid-template-columns:1fr 1fr;gap:20px}
figure{margin:0;background:var(--panel);border:1px solid var(--line);border-radius:12px;padding:14px 14px 10px;box-shadow:var(--shade)}
figcaption{font-size:.95rem;font-weight:600;color:var(--ink);margin:0 2px 6px}
.chart{display:block;width:100%;height:auto}
.chart text{font-size:12px;fill:var(--soft)}.chart .legend{fill:var(--ink)}
.chart .grid{stroke:var(--line);stroke-width:1}
.chart .line{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}
.chart .mark{stroke:var(--soft);stroke-dasharray:3 4}.chart .cross{stroke:var(--orange);stroke-width:2.2;stroke-linecap:round}
.series-1{--c:var(--blue)}.series-2{--c:var(--orange)}
.series-3{--c:#0f9d6b}.series-4{--c:#a855f7}.series-5{--c:#db2777}.series-6{--c:var(--soft)}
.chart .line{stroke:var(--c)}.chart .dot{fill:var(--c)}
)css";

constexpr const char* kTables = R"css(
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:10px}
.tall{max-height:34rem;overflow-y:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{padding:7px 14px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
tr:last-child>td,tr:last-child>th{border-bottom:0}
thead th{color:var(--soft);font-weight:500;font-size:.82rem;background:var(--panel);position:sticky;top:0;z-index:1}
th:first-child,td.left,th.left{text-align:left}
tbody th{font-weight:500}
td.wrap,th.wrap{white-space:normal;overflow-wrap:anywhere;min-width:10rem}
tbody th.wrap{max-width:26rem}
tr.total>*{border-top:2px solid var(--line);font-weight:600}
tr.best>*{background:hsl(var(--blue-hsl)/.09)}
.bar{display:inline-block;vertical-align:middle;width:72px;height:7px;border-radius:4px;background:var(--grid);
margin-left:10px;overflow:hidden}
.bar i{display:block;height:100%;background:var(--blue);border-radius:4px}
.pair td{border-bottom-color:var(--grid)}
.matrix{width:auto;border-collapse:separate;border-spacing:2px}
.matrix td,.matrix th{border:0;padding:0}
.matrix td{min-width:var(--cell);height:var(--cell);text-align:center;border-radius:4px;background:var(--panel);padding:0 4px}
.matrix td.zero{color:transparent}
.matrix td.right{background:hsl(var(--blue-hsl)/var(--v))}.matrix td.wrong{background:hsl(var(--orange-hsl)/var(--v))}
.matrix td.strong{color:var(--on-strong);font-weight:600}
.matrix tbody th{padding-right:8px;text-align:right;max-width:14rem;overflow:hidden;text-overflow:ellipsis;font-size:.88rem}
.matrix thead th{background:none;position:static;vertical-align:bottom;text-align:center;color:var(--ink);font-size:.88rem;padding-bottom:4px;
max-width:9rem;overflow:hidden;text-overflow:ellipsis}
.matrix.turned thead th bdi{writing-mode:vertical-rl;transform:rotate(180deg);max-height:10rem;overflow:hidden;text-overflow:ellipsis;
display:inline-block}
.matrix.small{font-size:.74rem}
.corner{font-size:.78rem!important;color:var(--soft)!important;font-weight:400}
.matrix-box{overflow-x:auto;padding-bottom:6px}
)css";

constexpr const char* kPhotos = R"css(
.mistakes{display:grid;grid-template-columns:repeat(auto-fill,minmax(158px,1fr));gap:16px;list-style:none;padding:0;margin:0}
.mistakes li{border:1px solid var(--line);border-radius:10px;overflow:hidden;background:var(--panel);font-size:.88rem;break-inside:avoid}
.thumb{display:flex;align-items:center;justify-content:center;height:160px;background:var(--grid);
color:var(--soft);font-size:.8rem;text-align:center}
.thumb img{display:block;max-width:100%;max-height:160px;width:auto;height:auto}
.mistakes p{margin:9px 11px 5px;line-height:1.4;overflow-wrap:anywhere}
.mistakes b{font-weight:600}
.mistakes .sure{color:var(--orange)}
.mistakes .path{display:block;margin:0 10px 10px;color:var(--soft);font-size:.74rem;line-height:1.35}
details{border:1px solid var(--line);border-radius:10px;margin:14px 0;overflow:hidden}
details>summary{cursor:pointer;padding:10px 14px;background:var(--panel);font-weight:500}
details>.scroll{border:0;border-top:1px solid var(--line);border-radius:0}
.note{border-left:3px solid var(--orange);background:hsl(var(--orange-hsl)/.08);padding:10px 14px;border-radius:0 8px 8px 0;max-width:none}
)css";

constexpr const char* kMedia = R"css(
@media (max-width:820px){.hero,.charts{grid-template-columns:1fr}}
@media (max-width:560px){main,header,footer{padding-left:16px;padding-right:16px}header{padding-top:24px}h1{font-size:1.6rem}
section{margin:36px 0}
.figure{font-size:3.4rem}.chart text{font-size:14px}.matrix tbody th{max-width:7rem}
th,td{padding:6px 10px}.bar{display:none}.facts{grid-template-columns:1fr 1fr}
.mistakes{grid-template-columns:1fr 1fr;gap:10px}tbody th.wrap{max-width:12rem}}
@media print{:root{color-scheme:light}body{font-size:11pt}nav{display:none}section{margin:24px 0}
.tall{max-height:none;overflow:visible}.scroll{overflow:visible}
pre{white-space:pre-wrap;overflow:visible}h2,h3,h2+.soft{break-after:avoid}figure,.facts div,tr{break-inside:avoid}*{-webkit-print-color-adjust:exact;print-color-adjust:exact}thead th{position:static}}
)css";

}  // namespace

std::string report_style() { return std::string(kPalettes) + kType + kHero + kCharts + kTables + kPhotos + kMedia; }

}  // namespace headstart
