// The exported dashboard, drawn by Grafana's own components (@grafana/ui, @grafana/data): panel frames, courses, large
// numbers, units, thresholds and legends are theirs; where panels stand and what they ask is the dashboard's JSON. What
// this leaves out is Grafana's server: provisioning, data source, migrations. `window.INPUT` is written by draw.py.
import React from "react";
import { createRoot } from "react-dom/client";
import {
  applyFieldOverrides, createTheme, DataFrame, dateTime, FieldColorModeId, FieldType, getDisplayProcessor, ThemeContext,
  toDataFrame,
} from "@grafana/data";
import {
  BigValue, BigValueColorMode, BigValueGraphMode, BigValueJustifyMode, BigValueTextMode, GlobalStyles, PanelChrome,
  TimeSeries,
} from "@grafana/ui";

const input = (window as any).INPUT;
const faults: string[] = ((window as any).FAULTS = []);
const theme = createTheme({ colors: { mode: "dark" } });
const COLUMN_PX = 62.5, LINE_PX = 30, GAP_PX = 8;
const from = dateTime(input.begin_s * 1000), to = dateTime(input.end_s * 1000);
const timeRange = { from, to, raw: { from, to } };

function name(legend: string, labels: Record<string, string>) {
  return legend.replace(/\{\{(\w+)\}\}/g, (_, label) => labels[label] ?? "");
}

function makeFrames(panel: any): DataFrame[] {
  const { custom, ...defaults } = panel.fieldConfig.defaults;
  const mode = panel.type === "stat" ? FieldColorModeId.Thresholds : FieldColorModeId.PaletteClassic;
  const made: DataFrame[] = panel.targets.flatMap((target: any, at: number) =>
    input.courses[panel.id][at].map((series: any) =>
      toDataFrame({
        refId: target.refId,
        name: name(target.legendFormat, series.metric),
        fields: [
          { name: "Time", type: FieldType.time, config: { interval: input.step_s * 1000 },
            values: series.values.map((pair: any) => pair[0] * 1000) },
          { name: "Value", type: FieldType.number, config: { ...defaults, custom, color: { mode } },
            values: series.values.map((pair: any) => Number(pair[1])) },
        ],
      })
    )
  );
  const config = { defaults: {}, overrides: [] };
  const frames = applyFieldOverrides({
    data: made, fieldConfig: config, replaceVariables: (text: string) => text, theme, timeZone: "utc",
  });
  frames.forEach((frame, at) => {
    const field = frame.fields[1];
    field.state = { ...field.state, seriesIndex: at, displayName: frame.name };
    field.display = getDisplayProcessor({ field, theme, timeZone: "utc" });
  });
  return frames;
}

function Body({ panel, width, height }: any) {
  const frames = makeFrames(panel);
  if (!frames.length) {
    faults.push(`${panel.title}: no data`);
    return <div>No data</div>;
  }
  if (panel.type === "timeseries") {
    return (
      <TimeSeries frames={frames} structureRev={1} timeRange={timeRange as any} timeZone="utc" width={width}
        height={height} legend={panel.options.legend} options={panel.options} />
    );
  }
  const [time, field] = frames[0].fields;
  return (
    <BigValue theme={theme} value={field.display!(field.values[field.values.length - 1])} width={width} height={height}
      colorMode={BigValueColorMode.Value} graphMode={BigValueGraphMode.Area} justifyMode={BigValueJustifyMode.Auto}
      textMode={BigValueTextMode.Value} sparkline={{ x: time as any, y: field as any }} />
  );
}

class Guard extends React.Component<{ title: string; children: React.ReactNode }, { text: string }> {
  state = { text: "" };
  static getDerivedStateFromError(error: any) {
    return { text: String(error) };
  }
  componentDidCatch(error: any) {
    faults.push(`${this.props.title}: ${error}`);
  }
  render() {
    return this.state.text || this.props.children;
  }
}

function Placed({ panel }: any) {
  const { x, y, w, h } = panel.gridPos;
  const width = w * COLUMN_PX - GAP_PX, height = h * LINE_PX - GAP_PX;
  const style: any = { position: "absolute", left: x * COLUMN_PX + 4, top: y * LINE_PX + 4, width, height };
  if (panel.type === "row") {
    return <div style={{ ...style, color: theme.colors.text.primary, font: "16px Inter, sans-serif" }}>{panel.title}</div>;
  }
  return (
    <div style={style}>
      <Guard title={panel.title}>
        <PanelChrome title={panel.title} width={width} height={height}>
          {(innerWidth: number, innerHeight: number) => <Body panel={panel} width={innerWidth} height={innerHeight} />}
        </PanelChrome>
      </Guard>
    </div>
  );
}

createRoot(document.getElementById("root")!).render(
  <ThemeContext.Provider value={theme}>
    <GlobalStyles isExtensionSidebarOpen={false} />
    {input.board.panels.map((panel: any) => <Placed key={panel.id} panel={panel} />)}
  </ThemeContext.Provider>
);
