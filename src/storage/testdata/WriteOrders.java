import org.apache.kafka.clients.producer.*; import java.util.*;
public class WriteOrders { public static void main(String[] a) throws Exception {
 Properties p=new Properties(); p.put("bootstrap.servers",a[0]); p.put("key.serializer","org.apache.kafka.common.serialization.StringSerializer"); p.put("value.serializer","org.apache.kafka.common.serialization.StringSerializer"); p.put("linger.ms","0");
 try(KafkaProducer<String,String> k=new KafkaProducer<>(p)){ for(int i=0;i<40;i++) k.send(new ProducerRecord<>("orders",0,1000000L+i,"k"+i,"value-"+"x".repeat(50)+i)).get(); }
 p.put("transactional.id","t1");
 try(KafkaProducer<String,String> k=new KafkaProducer<>(p)){ k.initTransactions(); for(int t=0;t<4;t++){ k.beginTransaction(); for(int i=0;i<3;i++) k.send(new ProducerRecord<>("orders",0,2000000L+t*10+i,"t"+t,"txn-"+i)).get(); if(t%2==0) k.abortTransaction(); else k.commitTransaction(); } }
}}
