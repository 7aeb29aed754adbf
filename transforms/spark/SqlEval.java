package chrononbeam;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.ValueVector;
import org.apache.arrow.vector.VectorLoader;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.VectorUnloader;
import org.apache.arrow.vector.ipc.ReadChannel;
import org.apache.arrow.vector.ipc.WriteChannel;
import org.apache.arrow.vector.ipc.message.ArrowRecordBatch;
import org.apache.arrow.vector.ipc.message.MessageSerializer;
import org.apache.arrow.vector.types.pojo.Schema;
import org.apache.spark.Partition;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkThrowable;
import org.apache.spark.TaskContext;
import org.apache.spark.TaskContext$;
import org.apache.spark.TaskContextImpl;
import org.apache.spark.rdd.RDD;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.arrow.ArrowWriter;
import org.apache.spark.sql.execution.vectorized.ConstantColumnVector;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.util.ArrowUtils;
import org.apache.spark.sql.vectorized.ArrowColumnVector;
import org.apache.spark.sql.vectorized.ColumnVector;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/**
 * Evaluates Arrow record batches with the operators of a Spark plan, without a Spark job.
 *
 * <p>A narrow plan (project, filter, generate) is a chain of iterators over one partition. Here the
 * partition is a batch that came over a unix socket, and the chain is pulled on the connection's own
 * thread. Janino compiles this file inside Spark's JVM: no generics in scope, no lambdas.
 *
 * <p>A request is two ints (plan, length) and a record batch; a reply is an int, the length, and a
 * record batch; or minus the length and the reason why the batch failed, in UTF-8.
 */
public final class SqlEval {
  private final Map plans = new ConcurrentHashMap();
  private final AtomicInteger planIds = new AtomicInteger();

  /** The leaf to plan a query on: its partitions are batches. */
  public RDD source(SparkContext spark) {
    return new BatchRDD(spark);
  }

  /**
   * Keeps a plan's rows under the id that requests name. The plan's leaf has width columns, of which
   * it reads those at the ordinals used; requests hold these alone, in the schema input.
   */
  public int register(
      RDD rows,
      int width,
      int[] used,
      byte[] input,
      byte[] output,
      Map conf,
      ClassLoader loader,
      boolean reusable)
      throws IOException {
    int id = planIds.incrementAndGet();
    Plan plan = new Plan(rows, width, used, schema(input), schema(output), conf, loader, reusable);
    plans.put(id, plan);
    return id;
  }

  /** Listens at the path until the JVM ends; its directory is removed then. */
  public void serve(String path) throws IOException {
    ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    server.bind(UnixDomainSocketAddress.of(path));
    Runtime.getRuntime().addShutdownHook(new Thread(new Removal(new File(path).getParentFile())));
    start(new Acceptor(server, plans));
  }

  /**
   * Ends the JVM when the process ends. The gateway ends it when its standard input closes, but a
   * forked child of that process may hold the other side open.
   */
  public void follow(long process) {
    start(new Follower(process));
  }

  private static void start(Runnable work) {
    Thread thread = new Thread(work, "sql-eval");
    thread.setDaemon(true);
    thread.start();
  }

  private static Schema schema(byte[] bytes) throws IOException {
    return MessageSerializer.deserializeSchema(channel(bytes));
  }

  private static ReadChannel channel(byte[] bytes) {
    return new ReadChannel(Channels.newChannel(new ByteArrayInputStream(bytes)));
  }

  private static final class Plan {
    final RDD rows;
    final int width;
    final int[] used;
    final Schema input;
    final Schema output;
    final Map conf;
    final ClassLoader loader;
    final boolean reusable;

    Plan(
        RDD rows,
        int width,
        int[] used,
        Schema input,
        Schema output,
        Map conf,
        ClassLoader loader,
        boolean reusable) {
      this.rows = rows;
      this.width = width;
      this.used = used;
      this.input = input;
      this.output = output;
      this.conf = conf;
      this.loader = loader;
      this.reusable = reusable;
    }
  }

  /** The rows of the batch at hand; its end is not final, since the next batch refills it. */
  private static final class BatchRows extends scala.collection.AbstractIterator {
    java.util.Iterator rows = Collections.emptyIterator();

    public boolean hasNext() {
      return rows.hasNext();
    }

    public Object next() {
      return rows.next();
    }
  }

  /** One pipeline's partition; the index is its own, since rand() and the like are seeded by it. */
  private static final class BatchPartition implements Partition {
    private static final AtomicInteger INDEX = new AtomicInteger();
    final BatchRows rows = new BatchRows();
    final int index = INDEX.getAndIncrement();

    public int index() {
      return index;
    }

    public int hashCode() {
      return index;
    }

    public boolean equals(Object other) {
      return other == this;
    }

    // The Scala trait's way to reach Object.equals; Janino wants it spelled out.
    public boolean org$apache$spark$Partition$$super$equals(Object other) {
      return other == this;
    }
  }

  private static final class BatchRDD extends RDD {
    BatchRDD(SparkContext spark) {
      super(
          spark,
          scala.collection.immutable.Nil$.MODULE$,
          scala.reflect.ClassTag$.MODULE$.apply(InternalRow.class));
    }

    public scala.collection.Iterator compute(Partition partition, TaskContext context) {
      return ((BatchPartition) partition).rows;
    }

    public Partition[] getPartitions() {
      return new Partition[] {new BatchPartition()};
    }
  }

  /** One plan on one connection: the iterators, and the vectors that every batch re-uses. */
  private static final class Pipeline {
    private final Plan plan;
    private final BufferAllocator allocator =
        ArrowUtils.rootAllocator().newChildAllocator("sql-eval", 0, Long.MAX_VALUE);
    private final BatchPartition partition = new BatchPartition();
    private final TaskContextImpl context = TaskContext$.MODULE$.empty();
    private final VectorSchemaRoot input;
    private final VectorSchemaRoot output;
    private final ColumnarBatch batch;
    private final ArrowWriter writer;
    private scala.collection.Iterator rows;

    Pipeline(Plan plan) {
      this.plan = plan;
      input = VectorSchemaRoot.create(plan.input, allocator);
      output = VectorSchemaRoot.create(plan.output, allocator);
      // Columns that the query does not name are null: operators that are not compiled copy them.
      ConstantColumnVector absent = new ConstantColumnVector(1, DataTypes.NullType);
      absent.setNull();
      ColumnVector[] columns = new ColumnVector[plan.width];
      Arrays.fill(columns, absent);
      for (int i = 0; i < plan.used.length; i++) {
        columns[plan.used[i]] = new ArrowColumnVector((ValueVector) input.getFieldVectors().get(i));
      }
      batch = new ColumnarBatch(columns);
      writer = ArrowWriter.create(output);
      // Operators ask the task for the session's confs, as they would on an executor.
      context.getLocalProperties().putAll(plan.conf);
    }

    byte[] evaluate(byte[] request) throws IOException {
      Thread.currentThread().setContextClassLoader(plan.loader);
      TaskContext$.MODULE$.setTaskContext(context);
      if (rows == null || !plan.reusable) {
        rows = plan.rows.compute(partition, context);
      }
      load(request);
      while (rows.hasNext()) {
        writer.write((InternalRow) rows.next());
      }
      writer.finish();
      return unload(request.length);
    }

    private void load(byte[] request) throws IOException {
      ArrowRecordBatch message = MessageSerializer.deserializeRecordBatch(channel(request), allocator);
      try {
        new VectorLoader(input).load(message);
      } finally {
        message.close();
      }
      batch.setNumRows(input.getRowCount());
      partition.rows.rows = batch.rowIterator();
    }

    private byte[] unload(int likelySize) throws IOException {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream(likelySize + 1024);
      ArrowRecordBatch message = new VectorUnloader(output, true, true).getRecordBatch();
      try {
        MessageSerializer.serialize(new WriteChannel(Channels.newChannel(bytes)), message);
      } finally {
        message.close();
      }
      writer.reset();
      return bytes.toByteArray();
    }

    void close() {
      context.markTaskCompleted(scala.Option.apply(null));
      input.close();
      output.close();
      allocator.close();
    }
  }

  private static final class Acceptor implements Runnable {
    private final ServerSocketChannel server;
    private final Map plans;

    Acceptor(ServerSocketChannel server, Map plans) {
      this.server = server;
      this.plans = plans;
    }

    public void run() {
      try {
        while (true) {
          start(new Connection(server.accept(), plans));
        }
      } catch (IOException closed) {
        // The JVM is ending.
      }
    }
  }

  /** Serves one thread of the Python side until it hangs up. */
  private static final class Connection implements Runnable {
    private final SocketChannel channel;
    private final Map plans;
    private final Map pipelines = new HashMap();

    Connection(SocketChannel channel, Map plans) {
      this.channel = channel;
      this.plans = plans;
    }

    public void run() {
      try {
        ByteBuffer head = ByteBuffer.allocate(8);
        while (read(head)) {
          ByteBuffer body = ByteBuffer.allocate(head.getInt(4));
          if (!read(body)) {
            break;
          }
          answer(head.getInt(0), body.array());
        }
        channel.close();
      } catch (IOException gone) {
        // The Python side hung up in the middle of a message: nobody waits for an answer.
      } finally {
        for (java.util.Iterator each = pipelines.values().iterator(); each.hasNext(); ) {
          ((Pipeline) each.next()).close();
        }
      }
    }

    private void answer(int plan, byte[] request) throws IOException {
      byte[] body;
      int sign = 1;
      try {
        body = evaluate(plan, request);
      } catch (Throwable failed) {
        body = reason(failed).getBytes(StandardCharsets.UTF_8);
        sign = -1;
      }
      ByteBuffer reply = ByteBuffer.allocate(4 + body.length);
      reply.putInt(sign * body.length);
      reply.put(body);
      reply.flip();
      while (reply.hasRemaining()) {
        channel.write(reply);
      }
    }

    private byte[] evaluate(int plan, byte[] request) throws IOException {
      Pipeline pipeline = (Pipeline) pipelines.get(plan);
      if (pipeline == null) {
        pipeline = new Pipeline((Plan) plans.get(plan));
        pipelines.put(plan, pipeline);
      }
      boolean done = false;
      try {
        byte[] reply = pipeline.evaluate(request);
        done = true;
        return reply;
      } finally {
        if (!done) {
          // Its iterators stand in the middle of a batch; the next request gets new ones.
          pipelines.remove(plan);
          pipeline.close();
        }
      }
    }

    private boolean read(ByteBuffer buffer) throws IOException {
      buffer.clear();
      while (buffer.hasRemaining()) {
        if (channel.read(buffer) < 0) {
          return false;
        }
      }
      return true;
    }
  }

  /** Spark's own words for a failure if it has some, else those of the first cause; never empty. */
  private static String reason(Throwable failure) {
    Throwable told = failure;
    while (told.getCause() != null && told.getCause() != told) {
      if (told instanceof SparkThrowable && told.getCause() instanceof SparkThrowable == false) {
        break;
      }
      told = told.getCause();
    }
    String message = String.valueOf(told.getMessage());
    return told instanceof SparkThrowable ? message : told.getClass().getSimpleName() + ": " + message;
  }

  private static final class Follower implements Runnable {
    private final long process;

    Follower(long process) {
      this.process = process;
    }

    public void run() {
      try {
        java.util.Optional handle = ProcessHandle.of(process);
        if (handle.isPresent()) {
          ((ProcessHandle) handle.get()).onExit().get();
        }
      } catch (Exception interrupted) {
        return;
      }
      System.exit(0);
    }
  }

  private static final class Removal implements Runnable {
    private final File root;

    Removal(File root) {
      this.root = root;
    }

    public void run() {
      remove(root);
    }

    private void remove(File file) {
      File[] children = file.listFiles();
      if (children != null) {
        for (int i = 0; i < children.length; i++) {
          remove(children[i]);
        }
      }
      file.delete();
    }
  }
}
