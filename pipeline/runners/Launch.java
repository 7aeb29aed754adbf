package chrononbeam;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.InputStream;
import java.net.URL;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.beam.model.pipeline.v1.Endpoints;
import org.apache.beam.model.pipeline.v1.RunnerApi;
import org.apache.beam.runners.flink.FlinkPipelineOptions;
import org.apache.beam.runners.flink.FlinkPipelineRunner;
import org.apache.beam.runners.fnexecution.provisioning.JobInfo;
import org.apache.beam.runners.jobsubmission.PortablePipelineJarUtils;
import org.apache.beam.sdk.io.FileSystems;
import org.apache.beam.sdk.options.PipelineOptionsFactory;
import org.apache.beam.sdk.util.construction.PipelineOptionsTranslation;
import org.apache.beam.sdk.util.construction.resources.PipelineResources;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptionsInternal;
import org.apache.flink.runtime.jobgraph.SavepointConfigOptions;
import org.apache.flink.streaming.api.environment.LocalStreamEnvironment;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironmentFactory;

/**
 * The main class of a template's jar: puts the arguments of a launch over the jar's pipeline
 * options, and hands over to Beam's Flink runner.
 *
 * <p>Beam's own main class takes no arguments: whatever a jar was built with would hold for ever.
 * What may be given, and what it must look like, is in the jar's launch.json, which Python writes.
 * Compiled by Janino, so it is written without lambdas and with casts instead of generics.
 */
public final class Launch {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String FOLDER = "BEAM-PIPELINE/";

  /** Beam's word for a job whose workers find all they need on their machine. */
  private static final String NO_ARTIFACTS = "__no_artifacts_staged__";

  private Launch() {}

  public static void main(String[] arguments) throws Exception {
    JsonNode launch = resource("launch.json");
    for (int i = 0; i < arguments.length; i++) {
      if (arguments[i].equals("--help") || arguments[i].equals("-h")) {
        System.out.print(help(launch));
        return;
      }
    }
    Map given = Arguments.parse(arguments, launch.get("parameters"));
    Arguments.check(given, launch.get("parameters"));
    run(launch, given, arguments);
  }

  private static void run(JsonNode launch, Map given, String[] arguments) throws Exception {
    StreamExecutionEnvironment flink = StreamExecutionEnvironment.getExecutionEnvironment();
    flink.setBufferTimeout(launch.get("buffer_timeout_ms").asLong());
    if (!(flink instanceof LocalStreamEnvironment)) { // Flink wants no other one to be local
      FlinkContext.use(flink);
    }
    String job = launch.get("job").asText();
    ObjectNode json = options(launch, given, flink);
    keep(json, arguments);
    FileSystems.setDefaultPipelineOptions(PipelineOptionsFactory.create());
    FlinkPipelineOptions options =
        (FlinkPipelineOptions)
            PipelineOptionsTranslation.fromJson(JSON.writeValueAsString(json))
                .as(FlinkPipelineOptions.class);
    List files =
        PipelineResources.detectClassPathResourcesToStage(
            FlinkPipelineRunner.class.getClassLoader(), options);
    JobInfo info =
        JobInfo.create(
            options.getJobName() + "_" + UUID.randomUUID(),
            options.getJobName(),
            NO_ARTIFACTS,
            PipelineOptionsTranslation.toProto(options));
    new FlinkPipelineRunner(options, null, files).run(pipeline(job, launch, given), info);
  }

  /** The jar's pipeline options, with the values of the launch over them. */
  private static ObjectNode options(JsonNode launch, Map given, StreamExecutionEnvironment flink)
      throws Exception {
    ObjectNode json = (ObjectNode) resource(launch.get("job").asText() + "/pipeline-options.json");
    Iterator parameters = launch.get("parameters").elements();
    while (parameters.hasNext()) {
      JsonNode parameter = (JsonNode) parameters.next();
      String value = Arguments.value(parameter, given);
      if (parameter.get("pattern").asText().isEmpty()) {
        if (value.equals("true")) {
          json.put(urn(parameter.get("option").asText()), true);
        }
      } else if (!value.isEmpty()) {
        json.put(urn(parameter.get("option").asText()), value);
      }
    }
    if (!given.containsKey("parallelism") && flink.getParallelism() > 1) {
      json.put(urn("parallelism"), String.valueOf(flink.getParallelism()));
    }
    Object savepoint =
        ((Configuration) flink.getConfiguration())
            .getString(SavepointConfigOptions.SAVEPOINT_PATH, "");
    json.put(urn("chronon_restored"), (String) savepoint);
    json.put(urn("chronon_run"), newId(flink));
    return json;
  }

  /** Keeps, where Flink shows it, what `chronon-beam jobs restart` starts the job again with. */
  private static void keep(ObjectNode json, String[] arguments) throws Exception {
    URL jar = Launch.class.getProtectionDomain().getCodeSource().getLocation();
    json.put(urn("chronon_jar"), jar.getPath());
    json.put(urn("chronon_arguments"), JSON.writeValueAsString(arguments));
  }

  private static String urn(String option) {
    return "beam:option:" + option + ":v1";
  }

  /**
   * An id as the ledger of runs has them: it begins with the time. It ends with the id of the job
   * where whoever launches it has fixed that, as Flink's Kubernetes operator does: a JobManager
   * that starts again runs this program again, and is the same run.
   */
  private static String newId(StreamExecutionEnvironment flink) {
    Object job =
        ((Configuration) flink.getConfiguration())
            .getString(PipelineOptionsInternal.PIPELINE_FIXED_JOB_ID, "");
    DateTimeFormatter form = DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss.SSSSSS'Z'");
    String time = ZonedDateTime.now(ZoneOffset.UTC).format(form);
    return time + "-" + (job.equals("") ? UUID.randomUUID().toString().substring(0, 8) : (String) job);
  }

  /** The jar's pipeline, with workers as the launch wants them. */
  private static RunnerApi.Pipeline pipeline(String job, JsonNode launch, Map given)
      throws Exception {
    String type = Arguments.value("environment_type", given, launch.get("parameters"));
    String config = Arguments.value("environment_config", given, launch.get("parameters"));
    RunnerApi.Environment workers =
        type.equals("PROCESS") ? process(config) : external(config);
    RunnerApi.Pipeline pipeline = PortablePipelineJarUtils.getPipelineFromClasspath(job);
    RunnerApi.Components.Builder components = pipeline.getComponents().toBuilder();
    Iterator ids = new ArrayList(pipeline.getComponents().getEnvironmentsMap().keySet()).iterator();
    while (ids.hasNext()) {
      String id = (String) ids.next();
      RunnerApi.Environment built = pipeline.getComponents().getEnvironmentsOrThrow(id);
      components.putEnvironments(
          id,
          built.toBuilder().setUrn(workers.getUrn()).setPayload(workers.getPayload()).build());
    }
    return pipeline.toBuilder().setComponents(components).build();
  }

  private static RunnerApi.Environment process(String config) throws Exception {
    RunnerApi.ProcessPayload.Builder payload = RunnerApi.ProcessPayload.newBuilder();
    if (config.startsWith("{")) {
      JsonNode parts = JSON.readTree(config);
      payload.setCommand(parts.get("command").asText());
      Iterator names = parts.path("env").fieldNames();
      while (names.hasNext()) {
        String name = (String) names.next();
        payload.putEnv(name, parts.get("env").get(name).asText());
      }
    } else {
      payload.setCommand(config);
    }
    return RunnerApi.Environment.newBuilder()
        .setUrn("beam:env:process:v1")
        .setPayload(payload.build().toByteString())
        .build();
  }

  private static RunnerApi.Environment external(String config) {
    Endpoints.ApiServiceDescriptor pool =
        Endpoints.ApiServiceDescriptor.newBuilder().setUrl(config).build();
    return RunnerApi.Environment.newBuilder()
        .setUrn("beam:env:external:v1")
        .setPayload(
            RunnerApi.ExternalPayload.newBuilder().setEndpoint(pool).build().toByteString())
        .build();
  }

  private static JsonNode resource(String name) throws Exception {
    InputStream stream = Launch.class.getClassLoader().getResourceAsStream(FOLDER + name);
    try {
      return JSON.readTree(stream);
    } finally {
      stream.close();
    }
  }

  private static String help(JsonNode launch) {
    StringBuilder text = new StringBuilder(launch.get("about").asText()).append("\n\n");
    Iterator parameters = launch.get("parameters").elements();
    while (parameters.hasNext()) {
      JsonNode parameter = (JsonNode) parameters.next();
      text.append("--").append(parameter.get("name").asText());
      if (!parameter.get("pattern").asText().isEmpty()) {
        text.append("=VALUE");
      }
      text.append(parameter.get("required").asBoolean() ? "  (required)\n    " : "\n    ");
      text.append(parameter.get("help").asText());
      text.append("\n    ").append(parameter.get("expected").asText());
      if (!parameter.get("default").asText().isEmpty()) {
        text.append("; ").append(parameter.get("default").asText()).append(" if not given");
      }
      text.append("\n");
    }
    return text.toString();
  }
}

/** Has Beam take the environment in which this launch has set what no option of Beam sets. */
final class FlinkContext extends StreamExecutionEnvironment {
  static void use(final StreamExecutionEnvironment flink) {
    initializeContextEnvironment(
        new StreamExecutionEnvironmentFactory() {
          public StreamExecutionEnvironment createExecutionEnvironment(Configuration ignored) {
            return flink;
          }
        });
  }
}

/** The arguments of a launch: --name=value, --name value, or --flag. */
final class Arguments {
  private Arguments() {}

  /** The values by name. */
  static Map parse(String[] arguments, JsonNode parameters) {
    Map given = new LinkedHashMap();
    for (int i = 0; i < arguments.length; i++) {
      String word = arguments[i];
      if (!word.startsWith("--")) {
        throw new Refused(word + ": arguments are written --name=value; see --help");
      }
      int equals = word.indexOf('=');
      String name = equals < 0 ? word.substring(2) : word.substring(2, equals);
      JsonNode parameter = named(name, parameters);
      String value;
      if (parameter.get("pattern").asText().isEmpty()) {
        value = equals < 0 ? "true" : word.substring(equals + 1);
      } else if (equals >= 0) {
        value = word.substring(equals + 1);
      } else if (i + 1 < arguments.length) {
        value = arguments[++i];
      } else {
        throw new Refused(word + ": a value is missing: " + parameter.get("expected").asText());
      }
      if (given.put(name, value) != null) {
        throw new Refused("--" + name + " is given twice: keep one of them");
      }
    }
    return given;
  }

  /** Refuses values that do not look as they must, and launches that lack one. */
  static void check(Map given, JsonNode parameters) {
    Iterator all = parameters.elements();
    while (all.hasNext()) {
      JsonNode parameter = (JsonNode) all.next();
      String name = parameter.get("name").asText();
      String pattern = parameter.get("pattern").asText();
      String value = (String) given.get(name);
      if (value == null && parameter.get("required").asBoolean()) {
        throw new Refused("--" + name + " is missing: give " + parameter.get("expected").asText());
      }
      if (value != null && !value.matches(pattern.isEmpty() ? "true|false" : pattern)) {
        throw new Refused(
            "--" + name + "=" + value + ": give " + parameter.get("expected").asText());
      }
    }
    if (given.containsKey("state_backend") && !given.containsKey("state_backend_storage_path")) {
      throw new Refused("--state_backend needs --state_backend_storage_path: give both, or neither");
    }
    String most = value("max_parallelism", given, parameters);
    String wanted = value("parallelism", given, parameters);
    if (Long.parseLong(wanted) > Long.parseLong(most)) {
      throw new Refused(
          "--parallelism=" + wanted + " is more than --max_parallelism=" + most
              + ": raise that, which only a job without a savepoint can");
    }
  }

  /** What a launch gives, or else the default. */
  static String value(JsonNode parameter, Map given) {
    Object value = given.get(parameter.get("name").asText());
    return value == null ? parameter.get("default").asText() : (String) value;
  }

  static String value(String name, Map given, JsonNode parameters) {
    return value(named(name, parameters), given);
  }

  private static JsonNode named(String name, JsonNode parameters) {
    String nearest = null;
    int least = Math.max(2, name.length() / 3) + 1;
    Iterator all = parameters.elements();
    while (all.hasNext()) {
      JsonNode parameter = (JsonNode) all.next();
      String known = parameter.get("name").asText();
      if (known.equals(name)) {
        return parameter;
      }
      int distance = distance(known, name);
      if (distance < least) {
        least = distance;
        nearest = known;
      }
    }
    throw new Refused(
        "unknown argument --" + name
            + (nearest == null ? ": see --help" : ": did you mean --" + nearest + "?"));
  }

  /** How many letters are to be changed, added or left out to make one word of the other. */
  private static int distance(String one, String other) {
    int[] above = new int[other.length() + 1];
    for (int j = 0; j < above.length; j++) {
      above[j] = j;
    }
    for (int i = 1; i <= one.length(); i++) {
      int[] row = new int[above.length];
      row[0] = i;
      for (int j = 1; j < row.length; j++) {
        int changed = above[j - 1] + (one.charAt(i - 1) == other.charAt(j - 1) ? 0 : 1);
        row[j] = Math.min(changed, Math.min(above[j], row[j - 1]) + 1);
      }
      above = row;
    }
    return above[other.length()];
  }
}

/** A launch that is wrong. It has no stack trace, since the cause is in the arguments. */
final class Refused extends IllegalArgumentException {
  Refused(String reason) {
    super(reason);
    setStackTrace(new StackTraceElement[0]);
  }
}
